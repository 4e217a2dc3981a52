import Agents
import ArgumentParser
import Audit
import Domain
import Foundation
import NIOPosix
import ShimProtocol

extension AgentsCommand {
    /// The options of commands that type into an agent's terminal.
    struct DeliveryOptions: ParsableArguments {
        @Option(help: "The idempotency key, a UUID; a new one when it is omitted.") var messageID: String?
        @Option(help: "Waits for this stage: queued, written, consumed or answered.") var until = "consumed"
        @Option(help: ArgumentHelp("How long to wait, in seconds.", valueName: "seconds")) var timeout = 10

        fileprivate func stage() throws -> MessageLedger.Stage {
            guard let stage = MessageLedger.Stage.allCases.first(where: { $0.name == self.until }), stage != .refused
            else {
                throw CommandError(.usage, "--until \(self.until): expected queued, written, consumed or answered")
            }
            return stage
        }
    }

    /// Records a message in the audit trail, sends it, and prints its receipts. Throws `CommandError` with status 65 when it
    /// is refused, and 1 when it does not reach the stage in time.
    static func deliver(
        _ input: TerminalInput, to id: String, _ delivery: DeliveryOptions, _ scope: WorkspaceScope, json: Bool
    ) async throws {
        let (key, stage) = (try RequestID(delivery.messageID ?? UUID().uuidString), try delivery.stage())
        let (agent, generation) = try findAgent(id, in: try scope.context(), launch: nil)
        let wait = Duration.seconds(delivery.timeout)
        try await scope.withSession { session, workspace in
            try await session.audit(.typed, agent.id, in: workspace, content: input.content, key: key)
            let last = try await AgentOperator(directory: agent, generation: generation, group: .singleton)
                .send(input, key: Array(key.description.utf8), until: stage, timeout: wait) { receipt in
                    show(AgentText.receipt(receipt, key, json: json))
                }
            if last.stage == .refused { throw CommandError(.data, "the message was refused: \(last.reason)") }
            guard last.stage.rawValue >= stage.rawValue else {
                throw CommandError(
                    .jobFailed,
                    "the message is \(last.stage.name), and was not \(stage.name) within \(wait); to wait longer, send it again with --message-id \(key)"
                )
            }
        }
    }

    struct Keys: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Presses keys in an agent's terminal.",
            discussion: """
                A key is Escape, Enter, Tab, Space, Backspace, Delete, Insert, Up, Down, Left, Right, Home, End, PageUp,
                PageDown, F1 to F12, or one character; with C- (Control), M- (Alt) or S- (Shift) before it: C-c, M-x, S-Tab.
                Each is pressed when the program has read the one before. Receipts, --message-id and exit statuses are those
                of `agents send`; an unknown key is a usage error, status 64.

                EXAMPLES
                  orchestra agents keys 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 Down Down Enter
                  orchestra agents keys 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 C-c
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @OptionGroup var delivery: DeliveryOptions
        @Argument(help: "The agent's id, which is its job's.") var id: String
        @Argument(help: "The keys, in their order.") var keys: [String]

        func run() async throws {
            try await reporting {
                let input: TerminalInput
                do throws(DomainError) {
                    input = try TerminalInput(keys: self.keys)
                } catch {
                    throw CommandError(.usage, error.message)
                }
                try await AgentsCommand.deliver(
                    input, to: self.id, self.delivery, self.scope, json: self.output.json)
            }
        }
    }

    struct Resize: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Gives an agent's terminal another size.",
            discussion: """
                10 to 500 columns and 2 to 200 rows. The program is sent SIGWINCH.

                EXAMPLE
                  orchestra agents resize 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 120x40
                """)

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The agent's id, which is its job's.") var id: String
        @Argument(help: ArgumentHelp("The size.", valueName: "COLSxROWS")) var size: String

        func run() async throws {
            try await reporting {
                let size: (columns: UInt16, rows: UInt16)
                do throws(DomainError) {
                    size = try TerminalSizes.parse(self.size)
                } catch {
                    throw CommandError(.usage, error.message)
                }
                let (agent, generation) = try findAgent(self.id, in: try self.scope.context(), launch: nil)
                try await self.scope.withSession { session, workspace in
                    try await session.audit(
                        .resized, agent.id, in: workspace, content: Array("\(size.columns)x\(size.rows)".utf8), key: nil
                    )
                    try await AgentOperator(directory: agent, generation: generation, group: .singleton)
                        .resize(columns: size.columns, rows: size.rows)
                    show("agent \(agent.id): \(size.columns) columns, \(size.rows) rows")
                }
            }
        }
    }
}
