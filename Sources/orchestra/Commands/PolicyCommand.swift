import ArgumentParser
import Domain
import Policy

struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Checks the policy files, tests them, and explains what they decide.",
        discussion: "EXAMPLES\n  orchestra policy\n  orchestra policy check\n  orchestra policy test",
        subcommands: [Show.self, Check.self, Explain.self, Test.self], defaultSubcommand: Show.self)

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Shows what may run.",
            discussion: """
                EXAMPLES
                  orchestra policy
                  ALLOW_ACTIONS_DEFAULT=shell.run orchestra policy --json
                """)

        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await reporting {
                let context = try self.common.nodeContext()
                let policy = try context.policy()
                if !self.output.json { show("policies: \(try context.policiesDirectory())") }
                let actions = policy.bundle.actions.values.map(\.definition)
                for action in actions.sorted(by: { $0.name.name < $1.name.name }) {
                    let isAllowed = policy.allowed.contains(action.name)
                    if self.output.json {
                        let line: JSONValue = [
                            "action": .string(action.name.name), "allowed": .bool(isAllowed),
                            "effect": .string(action.effect.rawValue), "summary": .string(action.summary),
                            "params": action.params,
                        ]
                        show(line.text)
                    } else {
                        let word = isAllowed ? "allowed" : "denied "
                        show("\(word)  \(action.name)  (\(action.effect.rawValue))  \(action.summary)")
                    }
                }
                let agents = Set(
                    actions.flatMap { action in
                        policy.bundle.agents.keys.map { PolicyEngine.allowedName(of: $0, by: action.name) }
                    })
                for name in policy.allowed.sortedNames
                where !agents.contains(name) && ActionName(ifValid: name).flatMap({ policy.bundle.actions[$0] }) == nil
                {
                    show("warning: '\(name)' is allowed, but there is no such action")
                }
            }
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads every policy file and says what there is, or what is wrong.",
            discussion: "EXAMPLE\n  orchestra policy check")

        @OptionGroup var common: CommonOptions

        func run() async throws {
            try await reporting {
                let context = try self.common.nodeContext()
                let bundle = try context.policy().bundle
                show(
                    "\(try context.policiesDirectory()): \(bundle.actions.count) actions, \(bundle.agents.count) agents, \(bundle.profiles.count) sandbox profiles, \(bundle.egress.count) egress files, \(bundle.roles.count) roles, \(bundle.operations.count) of \(Operation.allCases.count) operations, \(bundle.schedules.count) schedules, \(bundle.tests.count) tests, \(bundle.screenTests.count) recorded screens"
                )
                for operation in Operation.allCases where bundle.operations[operation] == nil {
                    show("warning: nobody may use '\(operation.rawValue)': no file under operations names it")
                }
            }
        }
    }

    struct Explain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says how a request would be decided, and by which rule. Status 77 when it is denied.",
            discussion: """
                EXAMPLES
                  orchestra policy explain jobs.execute --role developer --action shell.run --params '{"command":"ls"}'
                  orchestra policy explain audit.read --scope actions:preview
                  orchestra policy explain egress web https://api.example.com/v1
                """)

        @OptionGroup var common: CommonOptions
        @Argument(help: "The operation, such as jobs.execute; or egress, a sandbox profile and a URL.")
        var operation: String
        @Argument(help: "For egress: the sandbox profile and the URL.") var target: [String] = []
        @Option(help: "For egress: the method of a request in plain HTTP.") var method = "GET"
        @Option(help: "A role of the credential; may be given several times.") var role: [String] = []
        @Option(help: "A scope of the credential itself; may be given several times.") var scope: [String] = []
        @Option(help: "The action that is asked for.") var action: String?
        @Option(help: "Its params as JSON.") var params = "{}"

        func run() async throws {
            try await reporting {
                let policy = try self.common.nodeContext().policy()
                if self.operation == "egress" { return try self.explainEgress(policy.bundle) }
                guard self.target.isEmpty else {
                    throw CommandError(.usage, "expected one operation, or egress with a sandbox profile and a URL")
                }
                guard let operation = Operation(rawValue: self.operation) else {
                    let known = Operation.allCases.map(\.rawValue).joined(separator: ", ")
                    throw CommandError(
                        .usage, "there is no operation '\(Printable.text(self.operation))'; known are: \(known)")
                }
                let scopes = try self.scope.map { text in
                    guard let scope = Scope(rawValue: text) else {
                        let known = Scope.allCases.map(\.rawValue).joined(separator: ", ")
                        throw CommandError(.usage, "there is no scope '\(Printable.text(text))'; known are: \(known)")
                    }
                    return scope
                }
                let workspace = try WorkspaceID("own")
                let principal = Principal(
                    actor: "explain", subject: "explain", workspace: workspace,
                    roles: try APIKeyAdmin.roles(self.role, in: policy), scopes: Set(scopes),
                    credential: .key("explain"),
                    expiresAt: nil)
                let decision = policy.decide(
                    principal, operation, in: workspace, action: try self.action.map { try ActionName($0) },
                    params: Array(self.params.utf8))
                switch decision {
                case .allow(let rule): show("allowed by \(rule)")
                case .deny(let denial):
                    show("denied by \(denial.rule): \(denial.reason)")
                    throw ExitCode(CommandError.Status.notPermitted.rawValue)
                }
            }
        }

        private func explainEgress(_ bundle: PolicyBundle) throws {
            guard self.target.count == 2 else {
                throw CommandError(.usage, "expected a sandbox profile and a URL after egress")
            }
            let explanation = try EgressExplanation(
                bundle, profile: self.target[0], url: self.target[1], method: self.method)
            show(explanation.text)
            guard explanation.isAllowed else { throw ExitCode(CommandError.Status.notPermitted.rawValue) }
        }
    }

    struct Test: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Runs the tests under Policies/tests and Policies/screens. Status 1 when one fails.",
            discussion: "EXAMPLE\n  orchestra policy test")

        @OptionGroup var common: CommonOptions

        func run() async throws {
            try await reporting {
                let policy = try self.common.nodeContext().policy()
                let bundle = policy.bundle
                let failures =
                    bundle.tests.compactMap { $0.failure(with: policy) }
                    + bundle.screenTests.compactMap { $0.failure(with: bundle) }
                for failure in failures { show("failed: \(failure)") }
                show("\(bundle.tests.count + bundle.screenTests.count) tests, \(failures.count) failed")
                guard failures.isEmpty else { throw ExitCode(CommandError.Status.jobFailed.rawValue) }
            }
        }
    }
}
