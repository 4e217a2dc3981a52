import Domain
import CoreMetrics
import Cryptography
import Intake
import Jobs
import Logging
import NIOPosix
import Policy
import Redis

/// A client of the queue for one command: connects, runs the body, disconnects.
struct QueueSession: Sendable {
    let access: QueueAccess
    let master: SealingKey
    /// The connection of the first lane, whose Redis also holds the credentials.
    let first: RedisClient

    var queue: any JobStore { self.access.store }
    var keys: WorkspaceKeyring { self.access.keys }

    /// Throws status 69 when Redis cannot be reached within its connect timeout.
    static func with<Result: Sendable>(
        _ context: Context, _ body: @escaping @Sendable (QueueSession) async throws -> Result
    ) async throws -> Result {
        // The first connection is tried once, so that a wrong password or certificate is reported at once.
        let probe = try await RedisConnection.connect(to: try context.redis(), group: .singleton)
        await probe.close()
        let quiet = Logger(label: "orchestra") { _ in SwiftLogNoOpLogHandler() }
        let access = try context.queueAccess(.commandLine, metrics: NOOPMetricsHandler.instance, logger: quiet)
        guard let first = access.lanes.first?.commands else { throw CommandError(.gaveUp, "the queue has no lanes") }
        let session = QueueSession(access: access, master: try context.masterKey(), first: first)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            for client in access.lanes.flatMap(\.clients) {
                group.addTask {
                    await client.run()
                    return nil
                }
            }
            group.addTask { try await body(session) }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CommandError(.gaveUp, "the connection to Redis ended")
        }
    }

    /// Checks drafts, decides and stores them; the checked requests with their answers. Throws when another master key
    /// first used this Redis, and `DraftError` before anything is stored.
    func submit(
        _ drafts: [RequestDraft], actor: String, _ context: Context
    ) async throws -> [(request: JobRequest, answer: IntakeAnswer)] {
        try await self.access.refresh()
        let workspace = try context.workspace()
        let now = self.access.clock.now()
        let requests = try drafts.map { try $0.request(in: workspace, actor: actor, now: now) }
        let intake = Intake(self.access, policy: try context.policy())
        var answers: [(request: JobRequest, answer: IntakeAnswer)] = []
        for start in stride(from: 0, to: requests.count, by: Self.chunk) {
            let chunk = Array(requests[start..<min(start + Self.chunk, requests.count)])
            answers += zip(chunk, try await intake.submit(chunk)).map { ($0, $1) }
        }
        return answers
    }

    /// As `submit`, for one draft.
    ///
    /// When the answer may have been lost, the same request is made once more: its ID makes that harmless. When that fails
    /// too, the error names the ID.
    func submit(_ draft: RequestDraft, actor: String, _ context: Context) async throws -> IntakeAnswer {
        do {
            return try await self.submitOnce(draft, actor: actor, context)
        } catch let error as JobQueueError where error.isTransient {
            do {
                return try await self.submitOnce(draft, actor: actor, context)
            } catch let error as JobQueueError where error.isTransient {
                throw CommandError(
                    .unavailable,
                    "\(error.message); it is unknown whether the request was stored; submit it again with: --request-id \(draft.requestID)"
                )
            }
        }
    }

    private func submitOnce(_ draft: RequestDraft, actor: String, _ context: Context) async throws -> IntakeAnswer {
        guard let first = try await self.submit([draft], actor: actor, context).first else {
            throw CommandError(.gaveUp, "the queue did not answer")
        }
        return first.answer
    }

    /// Requests stored in one step.
    private static let chunk = 200
}
