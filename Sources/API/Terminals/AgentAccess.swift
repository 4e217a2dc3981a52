internal import Agents
internal import Audit
internal import Cryptography
internal import Domain
internal import Foundation
internal import Jobs
internal import ShimProtocol

/// An agent of this node that a principal may see: found by its job, which must be the workspace's.
struct AgentAccess: Sendable {
    let job: JobRecord
    let directory: AgentDirectory
    let generation: Int
    private let services: APIServices
    private let principal: Principal

    static let action = "agent.run"
    private static let noSuchAgent = Problem(.notFound, "there is no such agent in this workspace")
    /// Seconds that a message's receipt is waited for.
    private static let receiptTimeout = 10

    /// Throws a `Problem` when there is none, or it runs elsewhere.
    static func find(_ id: JobID, for principal: Principal, _ services: APIServices) async throws -> AgentAccess {
        guard let job = try await services.store.job(id, in: principal.workspace), job.action == Self.action else {
            throw Self.noSuchAgent
        }
        let directory = AgentDirectory(root: services.agentsRoot, id: id)
        guard let generation = try directory.generations.last else {
            if !job.node.isEmpty, job.node != services.node {
                throw Problem(
                    .misdirected, "the agent runs on the node '\(Printable.text(job.node))'; ask the API there",
                    rule: "node")
            }
            throw Problem(.conflict, "the agent has not begun: its job is \(job.state.rawValue)")
        }
        return AgentAccess(
            job: job, directory: directory, generation: generation, services: services, principal: principal)
    }

    private var door: AgentOperator {
        AgentOperator(directory: self.directory, generation: self.generation, group: self.services.group)
    }

    /// What it does, and how that is known.
    var view: JSONValue {
        get throws {
            let condition = try self.directory.condition
            let record = try self.directory.exitRecord(self.generation)
            return [
                "agent_id": .string(self.job.id.description), "state": .string(condition.state.rawValue),
                "evidence": .string(Printable.text(condition.evidence, limit: 300)),
                "job_state": .string(self.job.state.rawValue),
                "launches": .integer(Int64(self.generation)), "submitted_at": JobView.time(self.job.submittedAt),
                "exit_status": record.map { .integer(Int64($0.code)) } ?? .null,
            ]
        }
    }

    /// Types a message after it was written down; how far it came. `event` makes the row, given the message's digest.
    func type(
        _ text: String, key: Domain.RequestID, until stage: MessageLedger.Stage, event: ([UInt8]) -> [UInt8],
        told: @escaping @Sendable (MessageLedger.Receipt) -> Void = { _ in }
    ) async throws -> MessageLedger.Receipt {
        let row = event(try self.services.digester.digest(Array(text.utf8)))
        try await self.services.store.appendAudit(row, of: self.principal.workspace)
        do {
            return try await self.door.send(
                text, key: Array(key.description.utf8), until: stage, timeout: .seconds(Self.receiptTimeout), told: told
            )
        } catch is AgentError {
            throw Problem(.conflict, "the agent does not answer; it may have ended")
        } catch {
            guard error is CancellationError else {
                throw Problem(.conflict, "the agent has ended, or is being started again")
            }
            throw error
        }
    }

    func output(
        from offset: UInt64, each: @escaping @Sendable (UInt64, [UInt8]) async throws -> Void
    ) async throws -> ExitRecord {
        try await self.door.output(from: offset, each: each)
    }
}

extension MessageLedger.Receipt {
    var view: [JSONMember] {
        [
            JSONMember("stage", .string(self.stage.name)),
            JSONMember("log_offset", .integer(Int64(clamping: self.offset))),
            JSONMember("reason", .string(Printable.text(self.reason, limit: 300))),
        ]
    }
}
