import Agents
import ArgumentParser
import Domain
import Foundation
import Redaction
import ShimProtocol

struct AgentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agents", abstract: "Starts agents, shows them, and talks to those of this machine.",
        subcommands: [
            Start.self, List.self, Show.self, Attach.self, Send.self, Keys.self, Resize.self, Events.self, Logs.self,
            Screen.self, Replay.self, Network.self, Check.self, Stop.self, Freeze.self, Thaw.self,
        ], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the agents that this machine runs or ran.", discussion: "EXAMPLE\n  orchestra agents list")

        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await reporting {
                let context = try self.common.context()
                let agents = try AgentDirectory.all(root: context.stateDirectory + "/agents")
                if agents.isEmpty, !self.output.json { show("no agents under \(context.stateDirectory)/agents") }
                for agent in agents {
                    guard let generation = try agent.generations.last else { continue }
                    let condition = try agent.condition
                    if self.output.json {
                        show(try AgentText.json(agent, generation).text)
                    } else {
                        show("\(agent.id)  \(condition.state.rawValue)  launch \(generation)  (\(condition.evidence))")
                    }
                }
            }
        }
    }

    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints what an agent's terminal showed.",
            discussion: """
                Escape sequences are taken out; --raw prints the bytes as the agent wrote them, which your own
                terminal will execute.

                EXAMPLE
                  orchestra agents logs 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11
                """)

        @OptionGroup var common: CommonOptions
        @Argument(help: "The agent's id, which is its job's.") var id: String
        @Flag(help: "The bytes as they are.") var raw = false
        @Option(help: "Which launch; the last one when it is left out.") var launch: Int?

        func run() async throws {
            try await reporting {
                let (agent, generation) = try findAgent(self.id, in: try self.common.context(), launch: self.launch)
                guard let log = try agent.wholeLog(generation) else {
                    throw CommandError(.data, "launch \(generation) of agent \(agent.id) has no log")
                }
                if log.start > 0 {
                    note("the first \(log.start) bytes are not kept any more (log_overflow of its definition)")
                }
                if self.raw {
                    showBytes(log.bytes)
                } else {
                    show(TerminalText.plain(String(decoding: Redactor.redacted(log.bytes), as: UTF8.self)))
                }
            }
        }
    }

    struct Screen: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints what an agent's screen shows now, or showed last.",
            discussion:
                "As the rules of its definition see it, without colours.\n\nEXAMPLE\n  orchestra agents screen 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11"
        )

        @OptionGroup var common: CommonOptions
        @Argument(help: "The agent's id, which is its job's.") var id: String
        @Option(help: "Which launch; the last one when it is left out.") var launch: Int?

        func run() async throws {
            try await reporting {
                let (agent, generation) = try findAgent(self.id, in: try self.common.context(), launch: self.launch)
                guard let lines = try agent.screen(generation) else {
                    throw CommandError(.data, "launch \(generation) of agent \(agent.id) has no log")
                }
                show(TerminalText.plain(Redactor.redacted(lines.joined(separator: "\n"))))
            }
        }
    }

    struct Attach: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Looks at a running agent's terminal, read-only.",
            discussion:
                "Close the window to leave; the agent goes on.\n\nEXAMPLE\n  orchestra agents attach 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11"
        )

        @OptionGroup var common: CommonOptions
        @Argument(help: "The agent's id, which is its job's.") var id: String

        func run() async throws {
            try await reporting {
                let (agent, generation) = try findAgent(self.id, in: try self.common.context(), launch: nil)
                guard try agent.exitRecord(generation) == nil, let arguments = try agent.attachArguments(generation)
                else {
                    throw CommandError(
                        .unavailable,
                        "the agent \(agent.id) does not run any more; see: orchestra agents logs \(agent.id)")
                }
                let tmux = try Host.program("tmux", package: "tmux")
                let terminal = ProcessInfo.processInfo.environment["TERM"] ?? "xterm-256color"
                let result = replaceProcess(
                    tmux, arguments: ["tmux"] + arguments,
                    environment: ["TERM": terminal, "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"])
                throw CommandError(.unavailable, "\(tmux) could not be started: \(Host.reason(result))")
            }
        }
    }
}

func findAgent(_ text: String, in context: Context, launch: Int?) throws -> (AgentDirectory, Int) {
    let id = try JobID(text)
    let agent = AgentDirectory(root: try context.agentsRoot(), id: id)
    guard let last = try agent.generations.last else {
        throw CommandError(
            .data, "there is no agent \(id) on this machine (looked in \(context.stateDirectory)/agents)")
    }
    guard let launch else { return (agent, last) }
    guard try agent.generations.contains(launch) else {
        throw CommandError(.data, "agent \(id) has no launch \(launch); expected one of \(try agent.generations)")
    }
    return (agent, launch)
}
