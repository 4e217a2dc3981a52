import Domain
import Testing

@testable import Policy

@Suite("Access decisions")
struct AccessTests {
    private let engine: PolicyEngine
    private let workspace: WorkspaceID

    init() throws {
        let files = [
            PolicyFile(folder: "roles", name: "viewer.json", bytes: Self.viewer),
            PolicyFile(folder: "operations", name: "jobs.json", bytes: Self.operations),
        ]
        self.engine = PolicyEngine(bundle: try PolicyBundle(files: files), allowed: .none)
        self.workspace = try WorkspaceID("acme")
    }

    private static let viewer = Array(#"{"name":"viewer","summary":"x","scopes":["actions:preview"]}"#.utf8)
    private static let operations = Array(
        #"{"name":"jobs","operations":{"jobs.list":"actions:preview","jobs.execute":"actions:execute"}}"#.utf8)

    private func principal(roles: [String] = [], scopes: Set<Scope> = []) throws -> Principal {
        Principal(
            actor: "a", subject: "a", workspace: self.workspace, roles: try roles.map { try DefinitionName($0) },
            scopes: scopes, credential: .key("a"), expiresAt: nil)
    }

    private func operation(_ name: String) throws -> Operation { try #require(Operation(rawValue: name)) }

    @Test("a role allows the operations of its scopes, and the rule names the role")
    func role() throws {
        let decision = self.engine.authorize(
            try self.principal(roles: ["viewer"]), try self.operation("jobs.list"), in: self.workspace)
        #expect(decision == .allow(rule: "role:viewer"))
    }

    @Test("a scope of the credential allows without a role, and the rule names the scope")
    func scope() throws {
        let scopes = Set(Scope.allCases.filter { $0.rawValue == "actions:execute" })
        let decision = self.engine.authorize(
            try self.principal(scopes: scopes), try self.operation("jobs.execute"), in: self.workspace)
        #expect(decision == .allow(rule: "scope:actions:execute"))
    }

    @Test(
        "a role without the scope is denied, and so is one that no policy defines",
        arguments: [["viewer"], ["boss"], []])
    func missingScope(roles: [String]) throws {
        guard
            case .deny(let denial) = self.engine.authorize(
                try self.principal(roles: roles), try self.operation("jobs.execute"), in: self.workspace)
        else { return #expect(Bool(false), "it is allowed") }
        #expect(denial.kind == .missingScope && denial.rule == "scope:actions:execute")
    }

    @Test("another workspace is denied before anything else is looked at")
    func otherWorkspace() throws {
        guard
            case .deny(let denial) = self.engine.authorize(
                try self.principal(roles: ["viewer"]), try self.operation("jobs.list"), in: try WorkspaceID("other"))
        else { return #expect(Bool(false), "it is allowed") }
        #expect(denial.kind == .otherWorkspace)
    }

    @Test("an operation that no policy lists is denied to all")
    func unlisted() throws {
        let unlisted = Operation.allCases.filter { !["jobs.list", "jobs.execute"].contains($0.rawValue) }
        for operation in unlisted {
            guard
                case .deny(let denial) = self.engine.authorize(
                    try self.principal(roles: ["viewer"], scopes: Set(Scope.allCases)), operation, in: self.workspace)
            else { return #expect(Bool(false), "\(operation.rawValue) is allowed") }
            #expect(denial.rule == "operations")
        }
    }

    @Test("an operation with an action is denied when the action is")
    func action() throws {
        let decision = self.engine.decide(
            try self.principal(roles: ["viewer"]), try self.operation("jobs.list"), in: self.workspace,
            action: try ActionName("shell.run"), params: Array("{}".utf8))
        guard case .deny(let denial) = decision else { return #expect(Bool(false), "it is allowed") }
        #expect(denial.kind == .notAllowed && denial.rule == "allow-list")
    }

    @Test("an action that is on the list and has no file is denied by another rule")
    func missingAction() throws {
        let engine = PolicyEngine(bundle: self.engine.bundle, allowed: try AllowList("shell.run"))
        guard case .deny(let denial) = engine.decide(try ActionName("shell.run"), params: []).decision else {
            return #expect(Bool(false), "it is allowed")
        }
        #expect(denial.rule == "actions")
    }

    @Test("a file of an unknown folder and a name that another file gives have different codes")
    func codes() throws {
        func code(_ files: PolicyFile...) -> PolicyErrorCode? {
            do throws(PolicyError) {
                _ = try PolicyBundle(files: files)
                return nil
            } catch { return error.code }
        }
        #expect(code(PolicyFile(folder: "x", name: "a.json", bytes: Array("{}".utf8))) == .malformedFile)
        let agent = Array(#"{"name":"a","summary":"","argv":["/bin/sh"],"sandbox":"nope"}"#.utf8)
        #expect(code(PolicyFile(folder: "agents", name: "a.json", bytes: agent)) == .inconsistent)
    }

    @Test("a policy that is not JSON keeps the error of the parser")
    func underlying() {
        let error = #expect(throws: PolicyError.self) {
            try PolicyBundle(files: [PolicyFile(folder: "roles", name: "a.json", bytes: Array("{".utf8))])
        }
        #expect(error?.underlying is DomainError)
    }
}
