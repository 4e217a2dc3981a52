import ArgumentParser
import Domain
import Policy

struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Checks the policy files and shows what may run.",
        discussion: """
            EXAMPLES
              orchestra policy
              ALLOW_ACTIONS_DEFAULT=shell.run orchestra policy --json
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await reporting {
            let context = try self.common.context()
            let policy = try context.policy()
            if !self.output.json { show("policies: \(try context.policiesDirectory())") }
            for action in policy.bundle.actions.values.map(\.definition).sorted(by: { $0.name.name < $1.name.name }) {
                let isAllowed = policy.allowed.contains(action.name)
                if self.output.json {
                    let line: JSONValue = [
                        "action": .string(action.name.name), "allowed": .bool(isAllowed),
                        "effect": .string(action.effect.rawValue), "summary": .string(action.summary),
                        "params": action.params,
                    ]
                    show(line.text)
                } else {
                    show(
                        "\(isAllowed ? "allowed" : "denied ")  \(action.name)  (\(action.effect.rawValue))  \(action.summary)"
                    )
                }
            }
            for name in policy.allowed.sortedNames
            where (try? ActionName(name)).flatMap({ policy.bundle.actions[$0] }) == nil {
                show("warning: '\(name)' is allowed, but there is no such action")
            }
        }
    }
}
