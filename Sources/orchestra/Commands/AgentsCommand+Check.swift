import ArgumentParser
import Domain
import Policy

extension AgentsCommand {
    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Runs an agent's definition in its sandbox against a scripted model, and says what held.",
            discussion: """
                Needs no Redis, no node and no key: the model is part of this program, listens on the loopback, and stands in
                for the providers that the agent's profile reaches. The program is launched as an agent in a git work tree
                of its own, once for each thing that the model does: it answers, has a file edited, limits the agent, says
                that the budget is spent, and pauses while the agent is stopped.

                One line a field: held, not held or not tried, and how that is known. Status 0 when all that was tried held, 1
                when something did not, 69 when the program is not installed.

                EXAMPLES
                  orchestra agents check claude
                  orchestra agents check codex --json
                """)

        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "The agent, a file under Policies/agents.") var name: String

        func run() async throws {
            try await reporting {
                try Host.refuseRoot()
                let context = try self.common.nodeContext()
                let bundle = try context.policy().bundle
                guard let definition = bundle.agents[try DefinitionName(self.name)],
                    let profile = bundle.profiles[definition.sandbox]
                else {
                    throw CommandError(
                        .usage,
                        "there is no agent '\(Printable.text(self.name))'; expected the name of a file in Policies/agents"
                    )
                }
                let program = AgentProgram(definition, tools: context.settings.text("agents.tools"))
                if let problem = program.problem {
                    throw CommandError(
                        .unavailable, "the program of the agent '\(definition.name)' is not installed: \(problem)")
                }
                let report = try await AgentCheckBench(
                    common: self.common, bundle: bundle, definition: definition, profile: profile
                ).report()
                for line in self.output.json ? [report.json.text] : report.lines { Orchestra.say(line) }
                guard report.holds else { throw ExitCode(CommandError.Status.jobFailed.rawValue) }
            }
        }
    }
}
