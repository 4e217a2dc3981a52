import Agents
import ArgumentParser
import Audit
import Domain
import Foundation
import Intake
import Jobs
import NIOPosix
import Policy
import Redaction
import ShimProtocol

extension AgentsCommand {
    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Asks for an agent to be run, on whatever node has room.",
            discussion: """
                The same as submitting agent.run: decided by the policy, audited, kept until a node takes it. Its id is the
                job's.

                EXAMPLES
                  orchestra agents start shell --prompt 'ls -la' --follow
                """)

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The agent, a file under Policies/agents.") var agent: String
        @Option(help: "What it is asked to do.") var prompt: String
        @Option(help: "The idempotency key, a UUID; a new one when it is left out.") var requestID: String?
        @Flag(help: "Waits for its end, and shows its terminal while it runs on this machine.") var follow = false
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await reporting {
                if let name = TypedText.controlCharacter(in: self.prompt) {
                    throw CommandError(
                        .data, "the prompt contains the control character \(name); expected text, newlines and tabs")
                }
                let context = try self.scope.context()
                let params: JSONValue = ["agent": .string(self.agent), "prompt": .string(self.prompt)]
                try self.warnIfUnverified(context)
                let draft = RequestDraft(
                    action: "agent.run", params: params.bytes, requestID: self.requestID ?? UUID().uuidString)
                let workspace = try context.workspace()
                let (json, follows) = (self.output.json, self.follow)
                try await QueueSession.with(context) { session in
                    let (id, isDuplicate, _) = try await session.submit(
                        draft, actor: Host.actor, context
                    ).accepted()
                    let line: JSONValue = ["agent_id": .string(id.description), "duplicate": .bool(isDuplicate)]
                    show(json ? line.text : isDuplicate ? "agent \(id) (this request id came before)" : "agent \(id)")
                    guard follows else { return }
                    let job = try await JobWatcher(
                        session: session, workspace: workspace, agents: context.stateDirectory + "/agents",
                        json: json
                    ).watch(id)
                    guard job.state == .completed else { throw ExitCode(CommandError.Status.jobFailed.rawValue) }
                }
            }
        }

        /// By the policies of this machine; those of the node decide.
        private func warnIfUnverified(_ context: Context) throws {
            let agents = try context.policy().bundle.agents.values
            guard agents.first(where: { $0.name.name == self.agent })?.verification == .unverified else { return }
            note("the definition of '\(self.agent)' is unverified; try it with: orchestra agents check \(self.agent)")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows what an agent of this machine does, and how that is known.",
            discussion: "EXAMPLE\n  orchestra agents show 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11")

        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "The agent's id, which is its job's.") var id: String

        func run() async throws {
            try await reporting {
                let (agent, generation) = try findAgent(self.id, in: try self.common.context(), launch: nil)
                let value = try AgentText.json(agent, generation)
                guard !self.output.json else { return show(value.text) }
                guard case .object(let members) = value else { return }
                for member in members { show("\(member.name): \(member.value.string ?? member.value.text)") }
            }
        }
    }

    struct Send: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Types a message into an agent's terminal, and prints its receipts.",
            discussion: """
                queued: accepted by its shim. written: in the terminal's input. consumed: the agent has read it. answered:
                after that it wrote something other than the echo. refused: with the reason, and nothing was typed. A
                message with control characters other than newline and tab is refused; for keys see `agents keys`. The
                same --message-id is never typed twice. Status 0 when the stage was reached, 1 when not in time, 65 when
                refused. The message is in the audit trail, as a keyed digest, before it is typed.

                EXAMPLE
                  orchestra agents send 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 'echo hello' --until answered
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @OptionGroup var delivery: DeliveryOptions
        @Argument(help: "The agent's id, which is its job's.") var id: String
        @Argument(help: "The message; - is standard input.") var message: String

        func run() async throws {
            try await reporting {
                let input: TerminalInput
                do {
                    input = try TerminalInput(text: try self.text())
                } catch let error as DomainError {
                    throw CommandError(.data, "the message was refused: \(error.message)")
                }
                try await AgentsCommand.deliver(
                    input, to: self.id, self.delivery, self.scope, json: self.output.json)
            }
        }

        private func text() throws -> String {
            guard self.message == "-" else { return self.message }
            let data = try FileHandle.standardInput.read(upToCount: 1 << 20) ?? Data()
            guard let text = String(validating: data, as: UTF8.self) else {
                throw CommandError(.data, "standard input is not UTF-8")
            }
            return text
        }
    }

    struct Events: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints what an agent reported apart from its terminal.",
            discussion: """
                Agents write lines of JSON to their descriptor 3 (ORCHESTRA_EVENTS_FD). Each has a number; --after and --wait
                go on from there. The agent's word, not to be trusted more than its terminal.

                EXAMPLE
                  orchestra agents events 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 --after 17 --wait 30
                """)

        @OptionGroup var common: CommonOptions
        @Argument(help: "The agent's id, which is its job's.") var id: String
        @Option(help: "Only events with a higher number.") var after: UInt64 = 0
        @Option(help: ArgumentHelp("Waits for the next one, in seconds.", valueName: "seconds")) var wait = 0

        func run() async throws {
            try await reporting {
                let (agent, generation) = try findAgent(self.id, in: try self.common.context(), launch: nil)
                let wait = try agent.exitRecord(generation) == nil ? Duration.seconds(self.wait) : .zero
                let events = try await AgentOperator(directory: agent, generation: generation, group: .singleton)
                    .events(after: self.after, wait: wait)
                for event in events { show(Redactor.redacted(event.text)) }
            }
        }
    }

    struct Replay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Plays an agent's terminal as it was, at its own pace.",
            discussion: """
                Your terminal executes the control sequences that the agent wrote: play only what you trust, or look at
                `agents logs`. --cast prints a recording (asciicast v2) instead.

                EXAMPLES
                  orchestra agents replay 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 --speed 4
                  orchestra agents replay 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 --cast > agent.cast
                """)

        @OptionGroup var common: CommonOptions
        @Argument(help: "The agent's id, which is its job's.") var id: String
        @Option(help: "Which launch; the last one when it is left out.") var launch: Int?
        @Option(help: "How much faster than it was.") var speed = 1.0
        @Flag(help: "Prints an asciicast.") var cast = false

        func run() async throws {
            try await reporting {
                guard self.speed > 0, self.speed.isFinite else {
                    throw CommandError(.usage, "--speed \(self.speed): expected more than 0")
                }
                let (agent, generation) = try findAgent(self.id, in: try self.common.context(), launch: self.launch)
                guard let log = try agent.wholeLog(generation) else {
                    throw CommandError(.data, "launch \(generation) of agent \(agent.id) has no log")
                }
                var recording = Recording(log: log.bytes, timing: try agent.timing(generation))
                if self.cast {
                    for line in recording.asciicast(columns: 220, rows: 50, sizes: try agent.sizes(generation)) {
                        show(line)
                    }
                    return
                }
                var redactor = Redactor(isLive: true)
                var played: UInt64 = 0
                while let (time, bytes) = recording.next() {
                    let pause = Double(time - min(played, time)) / self.speed
                    played = time
                    try await ContinuousClock().sleep(for: .milliseconds(Int64(min(pause, 60_000))))
                    var shown: [UInt8] = []
                    redactor.redact(bytes, into: &shown)
                    showBytes(shown)
                }
                var shown: [UInt8] = []
                redactor.finish(into: &shown)
                showBytes(shown)
            }
        }
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends an agent wherever it runs, with its whole tree.",
            discussion:
                "The same as cancelling its job.\n\nEXAMPLE\n  orchestra agents stop 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11"
        )

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The agent's id, which is its job's.") var id: String

        func run() async throws {
            var cancel = JobsCommand.Cancel()
            cancel.scope = self.scope
            cancel.id = self.id
            cancel.wait = true
            try await cancel.run()
        }
    }

    struct Freeze: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stops every process of an agent of this machine where it stands.",
            discussion:
                "Its terminal, its files and its memory stay; its job's time runs on.\n\nEXAMPLE\n  orchestra agents freeze 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11"
        )

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The agent's id, which is its job's.") var id: String

        func run() async throws {
            try await AgentsCommand.hold(self.id, self.scope, .frozen) { try await $0.freeze() }
        }
    }

    struct Thaw: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets a frozen agent go on.",
            discussion: "EXAMPLE\n  orchestra agents thaw 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11")

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The agent's id, which is its job's.") var id: String

        func run() async throws {
            try await AgentsCommand.hold(self.id, self.scope, .thawed) { try await $0.thaw() }
        }
    }

    fileprivate static func hold(
        _ id: String, _ scope: WorkspaceScope, _ kind: AuditEvent.Kind,
        _ body: @escaping @Sendable (AgentOperator) async throws -> Int
    ) async throws {
        try await reporting {
            let (agent, generation) = try findAgent(id, in: try scope.context(), launch: nil)
            try await scope.withSession { session, workspace in
                try await session.audit(kind, agent.id, in: workspace, content: [], key: nil)
                let count = try await body(AgentOperator(directory: agent, generation: generation, group: .singleton))
                show("agent \(agent.id): \(count) processes \(kind == .frozen ? "stand still" : "go on")")
            }
        }
    }
}

extension QueueSession {
    /// Writes down what a person does to an agent before it is done. Throws status 65 when the agent is not this
    /// workspace's: the queue's record decides, not the directory.
    func audit(
        _ kind: AuditEvent.Kind, _ id: JobID, in workspace: WorkspaceID, content: [UInt8], key: RequestID?
    ) async throws {
        guard try await self.queue.job(id, in: workspace) != nil else {
            throw CommandError(.data, "there is no job \(id) in workspace '\(workspace)'")
        }
        let digest = content.isEmpty ? [] : try self.access.digester.digest(content)
        let event = AuditEvent(
            kind: kind, workspace: workspace, actor: Host.actor, action: key?.description ?? "", jobID: id,
            status: "asked", rule: "operator", duration: .zero, errorReason: "", paramsDigest: digest, node: "",
            time: try await self.queue.time())
        try await self.queue.appendAudit(event.encoded, of: workspace)
    }
}
