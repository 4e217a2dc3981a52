import Domain
import Egress
import ModelUsage
import Foundation
import Policy
import TestSupport
import Testing

@Suite("Policy")
struct PolicyTests {
    static func shipped() throws -> [PolicyFile] {
        var files: [PolicyFile] = []
        for folder in PolicyBundle.folders {
            let path = "\(packageRoot)/Policies/\(folder)"
            for name in ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() {
                let data = try #require(FileManager.default.contents(atPath: "\(path)/\(name)"))
                files.append(PolicyFile(folder: folder, name: name, bytes: Array(data)))
            }
        }
        return files
    }

    private func engine(_ allowed: String?) throws -> PolicyEngine {
        PolicyEngine(bundle: try PolicyBundle(files: try Self.shipped()), allowed: try AllowList(allowed))
    }

    @Test("the shipped policies load, with the actions and the agent that the README names")
    func shippedPolicies() throws {
        let bundle = try PolicyBundle(files: try Self.shipped())
        #expect(Set(bundle.actions.keys.map(\.name)).isSuperset(of: ["shell.run", "agent.run"]))
        #expect(bundle.agents.keys.map(\.name).contains("shell"))
        #expect(Set(bundle.roles.keys.map(\.name)) == ["viewer", "developer", "admin"])
    }

    private static func egressFiles(_ profile: String, _ entries: String) throws -> [PolicyFile] {
        let web = #"{"name":"web","summary":"x","entries":[\#(entries)]}"#
        return try Self.shipped() + [
            PolicyFile(folder: "egress", name: "web.json", bytes: Array(web.utf8)),
            PolicyFile(
                folder: "sandbox", name: "open.json",
                bytes: Array(#"{"name":"open","summary":"x","egress":["\#(profile)"]}"#.utf8)),
        ]
    }

    @Test("a profile has the rules of the egress files that it names; the default profile has none")
    func egress() throws {
        let bundle = try PolicyBundle(files: try Self.egressFiles("web", #"{"id":"a","host":"a.example.com"}"#))
        #expect(bundle.egressRules[try DefinitionName("open")]?.entries.map(\.id.text) == ["a"])
        #expect(bundle.egressRules[try DefinitionName("claude")]?.modelServices == [.anthropic])
    }

    @Test(
        "an egress file that is not there, or an entry that cannot be used, is named with its file and field",
        arguments: [
            ("none", #"{"id":"a","host":"a.example.com"}"#, ["sandbox/open.json", "'egress'", "egress/none.json"]),
            ("web", #"{"id":"a","host":"*"}"#, ["egress/web.json", "entry 1", "'host'"]),
            ("web", #"{"id":"a","host":"a.example.com","prots":[1]}"#, ["egress/web.json", "'prots'"]),
            (
                "web", #"{"id":"a","host":"a.example.com","limits":{"connections":1}}"#,
                ["egress/web.json", "'a'", "'limits' is not supported here"]
            ),
        ])
    func wrongEgress(profile: String, entries: String, words: [String]) throws {
        let error = #expect(throws: PolicyError.self) {
            try PolicyBundle(files: try Self.egressFiles(profile, entries))
        }
        for word in words { #expect(error?.message.contains(word) == true, "\(error?.message ?? "")") }
    }

    @Test("the shipped agents' rules read their recorded screens, and a rule that is missing is noticed")
    func screens() throws {
        let bundle = try PolicyBundle(files: try Self.shipped())
        #expect(bundle.screenTests.count >= 10)
        #expect(Set(bundle.screenTests.map(\.expected)).isSuperset(of: [.ready, .waiting, nil]))
        for test in bundle.screenTests { #expect(test.failure(with: bundle) == nil) }
        let agents = Set(bundle.agents.values.filter { !$0.screen.isEmpty }.map(\.name))
        #expect(Set(bundle.screenTests.map(\.agent)) == agents, "rules without recorded screens")
        let wrong =
            #"{"name":"wrong","agent":"shell","cases":[{"output":"\u001b[?2004hbash-5.2$ ","expect":"waiting"}]}"#
        let files = try Self.shipped() + [PolicyFile(folder: "screens", name: "wrong.json", bytes: Array(wrong.utf8))]
        let failures = try PolicyBundle(files: files).screenTests.compactMap { $0.failure(with: bundle) }
        #expect(failures.count == 1 && failures.first?.contains("says ready by rule") == true, "\(failures)")
    }

    @Test("every role and scope gets what the shipped policy tests say, cell by cell, and no cell is missing")
    func policyTests() throws {
        let engine = try self.engine(nil)
        let tests = engine.bundle.tests
        #expect(tests.compactMap { $0.failure(with: engine) } == [])
        for roles in [[], ["viewer"], ["developer"], ["admin"]] {
            for operation in Operation.allCases {
                for workspace in ["own", "other"] {
                    let cell = tests.contains {
                        $0.principal.roles.map(\.name) == roles && $0.principal.scopes.isEmpty
                            && $0.operation == operation && $0.workspace.name == workspace
                    }
                    #expect(cell, "no case for \(roles) \(operation.rawValue) \(workspace)")
                }
            }
        }
    }

    @Test("a policy test whose expectation does not hold says which and why")
    func failingPolicyTest() throws {
        let wrong = """
            {"name":"wrong","cases":[{"roles":["viewer"],"operation":"jobs.execute","expect":"allow"},
            {"roles":["viewer"],"operation":"jobs.list","expect":"deny"}]}
            """
        let files = try Self.shipped() + [PolicyFile(folder: "tests", name: "wrong.json", bytes: Array(wrong.utf8))]
        let engine = PolicyEngine(bundle: try PolicyBundle(files: files), allowed: .none)
        let failures = engine.bundle.tests.compactMap { $0.failure(with: engine) }
        #expect(failures.count == 2)
        #expect(failures.first?.contains("tests/wrong.json, case 1: jobs.execute is denied by scope") == true)
    }

    @Test("without a file of operations nobody may do anything")
    func noOperations() throws {
        let files = try Self.shipped().filter { $0.folder != "operations" && $0.folder != "tests" }
        let engine = PolicyEngine(bundle: try PolicyBundle(files: files), allowed: .none)
        let own = try WorkspaceID("own")
        let admin = Principal(
            actor: "a", subject: "a", workspace: own, roles: [try DefinitionName("admin")],
            scopes: Set(Scope.allCases), credential: .key("a"), expiresAt: nil)
        for operation in Operation.allCases {
            guard case .deny(let denial) = engine.authorize(admin, operation, in: own) else {
                Issue.record("\(operation.rawValue) is allowed")
                continue
            }
            #expect(denial.rule == "operations")
        }
    }

    @Test("an unset, empty or blank allow-list denies everything", arguments: [nil, "", " ", ",", " , "])
    func deniesByDefault(list: String?) throws {
        let (decision, action, _) = try self.engine(list).decide(
            try ActionName("shell.run"), params: Array(#"{"command":"true"}"#.utf8))
        guard case .deny(let denial) = decision else { return #expect(Bool(false), "expected a denial") }
        #expect(denial.kind == .notAllowed)
        #expect(action == nil)
        #expect(denial.reason.contains("shell.run"))
    }

    @Test("only the exact name is allowed: no prefix, no longer name")
    func exactNames() throws {
        let engine = try self.engine("shell.run , queue.noop")
        for (name, isAllowed) in [
            ("shell.run", true), ("queue.noop", true), ("shell", false), ("shell.run2", false), ("agent.run", false),
        ] {
            #expect(engine.allowed.contains(try ActionName(name)) == isAllowed)
        }
    }

    @Test(
        "a list with what no action can be called is refused as a whole",
        arguments: ["shell.*", "Shell.run", "shell.run;agent.run", "*"])
    func badLists(list: String) {
        #expect(throws: DomainError.self) { try AllowList(list) }
    }

    @Test(
        "params that do not fit the schema are denied with the place and what was expected",
        arguments: [
            (#"{}"#, "must have 'command'"), (#"{"command":1}"#, "of type string"), (#"{"command":""}"#, "at least 1"),
            (#"{"command":"a","x":1}"#, "must not have 'x'"), (#"[]"#, "of type object"), ("{", "not JSON"),
        ])
    func badParams(params: String, expected: String) throws {
        let (decision, _, _) = try self.engine("shell.run").decide(
            try ActionName("shell.run"), params: Array(params.utf8))
        guard case .deny(let denial) = decision else { return #expect(Bool(false), "expected a denial") }
        #expect(denial.kind == .invalidParams)
        #expect(denial.reason.contains(expected), "\(denial.reason)")
    }

    @Test("params of more than 64 KiB are denied")
    func oversized() throws {
        let params = JSONValue.object([JSONMember("command", .string(String(repeating: "a", count: 65_536)))]).bytes
        let (decision, _, _) = try self.engine("shell.run").decide(try ActionName("shell.run"), params: params)
        guard case .deny(let denial) = decision else { return #expect(Bool(false), "expected a denial") }
        #expect(denial.reason.contains("65536"))
    }

    @Test(
        "a policy file that is not right in every member is refused by name",
        arguments: [
            ("actions", "x.json", "{", "not JSON"),
            ("actions", "x.json", #"{"name":"x"}"#, "'params' is missing"),
            ("sandbox", "y.json", #"{"name":"y","summary":"","proceses":5}"#, "'proceses' is unknown"),
            ("sandbox", "y.json", #"{"name":"z","summary":""}"#, "expected a file named z.json"),
            ("sandbox", "y.json", #"{"name":"y","summary":"","processes":1}"#, "integer from 2"),
            ("sandbox", "y.json", #"{"name":"y","summary":"","read_only_paths":["/a/../b"]}"#, "absolute paths"),
            ("agents", "a.json", #"{"name":"a","summary":"","argv":["bash"]}"#, "absolute path"),
            (
                "agents", "a.json", #"{"name":"a","summary":"","argv":["/bin/sh"],"sandbox":"nope"}"#,
                "no sandbox profile 'nope'"
            ),
            ("extra", "a.json", "{}", "expected one of the folders"),
        ])
    func badFiles(folder: String, name: String, text: String, expected: String) throws {
        let files = try Self.shipped() + [PolicyFile(folder: folder, name: name, bytes: Array(text.utf8))]
        let error = #expect(throws: PolicyError.self) { try PolicyBundle(files: files) }
        #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("\(folder)/\(name)") == true)
    }

}
