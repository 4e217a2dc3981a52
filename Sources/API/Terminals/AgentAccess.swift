internal import Agents
internal import Audit
internal import Cryptography
internal import Domain
internal import Jobs
internal import Redaction
internal import ShimProtocol
internal import Synchronization

/// An agent of this node that a principal may access: found by its job, which must be in the principal's workspace.
struct AgentAccess: Sendable {
    let job: JobRecord
    let directory: AgentDirectory
    let generation: Int
    private let services: APIServices
    private let principal: Principal

    static let action = "agent.run"
    private static let noSuchAgent = Problem(.notFound, "there is no such agent in this workspace")
    /// Seconds to wait for a message's receipt.
    private static let receiptTimeout = 10

    /// Throws a `Problem` when there is no such agent, and `OtherNode` when it runs on another node.
    static func find(_ id: JobID, for principal: Principal, _ services: APIServices) async throws -> AgentAccess {
        guard let job = try await services.store.job(id, in: principal.workspace), job.action == Self.action else {
            throw Self.noSuchAgent
        }
        // The record first: what an earlier run of the job left in this node's directory is not the agent.
        guard job.node.isEmpty || job.node == services.node else {
            throw OtherNode(job.node, has: .agent)
        }
        let directory = AgentDirectory(root: services.agentsRoot, id: id)
        guard let generation = try await services.files.run({ try directory.generations.last }) else {
            throw Problem(.conflict, "the agent has not started: its job is \(job.state.rawValue)")
        }
        return AgentAccess(
            job: job, directory: directory, generation: generation, services: services, principal: principal)
    }

    private var shim: AgentOperator {
        AgentOperator(
            directory: self.directory, generation: self.generation, group: self.services.group,
            files: self.services.files)
    }

    /// The agent's state, and how it is known.
    var view: JSONValue {
        get async throws {
            let (directory, generation) = (self.directory, self.generation)
            let (condition, record) = try await self.services.files.run {
                (try directory.condition, try directory.exitRecord(generation))
            }
            return [
                "agent_id": .string(self.job.id.description), "state": .string(condition.state.rawValue),
                "evidence": .string(Redactor.redacted(Printable.text(condition.evidence, limit: 300))),
                "job_state": .string(self.job.state.rawValue),
                "launches": .integer(Int64(self.generation)), "submitted_at": JobView.time(self.job.submittedAt),
                "exit_status": record.map { .integer(Int64($0.code)) } ?? .null,
            ]
        }
    }

    /// Types a message after its audit row was written; its last receipt. `event` makes the row from the message's
    /// digest; `onReceipt` gets every receipt. Throws a `Problem` when the agent does not answer, and the store's
    /// error when the row cannot be written; then nothing was typed.
    func type(
        _ input: TerminalInput, key: Domain.RequestID, until stage: MessageLedger.Stage, event: ([UInt8]) -> [UInt8],
        onReceipt: @escaping @Sendable (MessageLedger.Receipt) -> Void = { _ in }
    ) async throws -> MessageLedger.Receipt {
        let row = event(try self.services.digester.digest(input.content))
        try await self.services.store.appendAudit(row, of: self.principal.workspace)
        do {
            return try await self.shim.send(
                input, key: Array(key.description.utf8), until: stage, timeout: .seconds(Self.receiptTimeout),
                onReceipt: onReceipt)
        } catch is AgentError {
            throw Problem(.conflict, "the agent does not answer; it may have ended")
        } catch {
            guard error is CancellationError else {
                throw Problem(.conflict, "the agent has ended, or is restarting")
            }
            throw error
        }
    }

    /// Gives the terminal another size after that was written down. Throws a `Problem` when the agent does not answer.
    func resize(columns: UInt16, rows: UInt16, event: ([UInt8]) -> [UInt8]) async throws {
        let digester = self.services.digester
        let row = event(try digester.digest(Array("\(columns)x\(rows)".utf8)))
        try await self.services.store.appendAudit(row, of: self.principal.workspace)
        do {
            try await self.shim.resize(columns: columns, rows: rows)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw Problem(.conflict, "the agent does not answer; it may have ended")
        }
    }

    /// Gives the terminal's bytes from `offset` on, redacted, to `each` until the agent ends; its exit record. Throws
    /// `AgentError` when the shim refuses, or is gone without a record.
    func output(
        from offset: UInt64, each: @escaping @Sendable (AgentOutput) async throws -> Void
    ) async throws -> ExitRecord {
        let redaction = Mutex(OutputRedaction(from: offset))
        let record = try await self.shim.output(from: redaction.withLock { $0.first }) { place, bytes in
            guard let part = redaction.withLock({ $0.take(place, bytes) }) else { return }
            try await each(part)
        }
        if let part = redaction.withLock({ $0.finish() }) { try await each(part) }
        return record
    }
}
