import Agents
import ArgumentParser
import Domain
import Foundation
import Policy
import Sandboxing

struct SelftestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "selftest", abstract: "Tries on this machine what must not work.", subcommands: [Escape.self])

    struct Escape: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes \(EscapeAttempt.all.count) attempts to leave a sandbox, from inside one.",
            discussion: """
                What counts is what is seen outside: a secret that comes out, a file that is touched, a listener that is
                visited, a process that dies or is left. Status 70 when anything got out.

                EXAMPLES
                  orchestra selftest escape
                  orchestra selftest escape --tier 2 --json
                """)

        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Option(help: "The tier, 1 to 4; else the one that the node would use.") var tier: Int?
        @Option(help: "Only attempts whose name or kind contains this.") var only: String?

        func run() async throws {
            try await reporting {
                try Host.refuseRoot()
                let context = try self.common.nodeContext()
                var configuration: AgentConfiguration
                if let number = self.tier {
                    guard let tier = SandboxTier(rawValue: number), tier > .none else {
                        throw CommandError(.usage, "expected --tier 1, 2, 3 or 4, not \(number)")
                    }
                    configuration = try context.agents()
                    configuration.plan = configuration.plan.at(tier)
                } else {
                    configuration = try await context.measuredAgents().0
                }
                let results = try await EscapeTest(
                    configuration: configuration, profile: .measured,
                    directory: try Host.privateDirectory(context.stateDirectory + "/selftest/command"),
                    processID: getpid()
                ).run(self.isWanted) { self.report($0) }
                let escapes = results.filter { !$0.holds }
                if !self.output.json {
                    show(
                        "\(results.count) attempts at tier \(configuration.plan.tier.rawValue): \(escapes.count) got out"
                    )
                }
                guard escapes.isEmpty else { throw ExitCode(CommandError.Status.gaveUp.rawValue) }
            }
        }

        private func isWanted(_ attempt: EscapeAttempt) -> Bool {
            self.only.map { attempt.name.contains($0) || attempt.category == $0 } ?? true
        }

        private func report(_ result: EscapeTest.Result) {
            let word = result.holds ? "held" : "ESCAPED"
            let detail = Printable.text(result.evidence ?? "", limit: 400)
            guard self.output.json else {
                return show(
                    "\(word)\t\(result.attempt.category): \(result.attempt.name)\(detail.isEmpty ? "" : ": \(detail)")")
            }
            let line: JSONValue = [
                "attempt": .string(result.attempt.name), "category": .string(result.attempt.category),
                "result": .string(word), "detail": .string(detail),
            ]
            show(line.text)
        }
    }
}
