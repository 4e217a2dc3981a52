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

    /// Requests whose answer was lost twice: they may be stored. Those after them were not submitted.
    struct UnclearSubmission: Error {
        let requests: [JobRequest]
        let reason: String
    }

    /// Checks drafts, decides and stores them; `each` gets the checked requests with their answers, part by part as they
    /// come. Throws when another master key first used this Redis, `DraftError` before anything is stored, and
    /// `UnclearSubmission`.
    ///
    /// A part whose answer may have been lost is submitted once more: the request IDs make that harmless.
    func submit(
        _ drafts: [RequestDraft], actor: String, _ context: Context,
        each: ([(request: JobRequest, answer: IntakeAnswer)]) -> Void
    ) async throws {
        try await self.access.refresh()
        let workspace = try context.workspace()
        let now = self.access.clock.now()
        let requests = try drafts.map { try $0.request(in: workspace, actor: actor, now: now) }
        let intake = Intake(self.access, policy: try context.policy())
        for start in stride(from: 0, to: requests.count, by: Self.chunk) {
            let part = Array(requests[start..<min(start + Self.chunk, requests.count)])
            each(zip(part, try await Self.answers(to: part, of: intake)).map { ($0, $1) })
        }
    }

    private static func answers(to part: [JobRequest], of intake: Intake) async throws -> [IntakeAnswer] {
        do {
            return try await intake.submit(part)
        } catch let error as JobQueueError where error.code == .unavailable {
            do {
                return try await intake.submit(part)
            } catch let error as JobQueueError where error.code == .unavailable {
                throw UnclearSubmission(requests: part, reason: error.message)
            }
        }
    }

    /// As `submit`, for one draft; an unclear submission is an error that names the request ID.
    func submit(_ draft: RequestDraft, actor: String, _ context: Context) async throws -> IntakeAnswer {
        var answer: IntakeAnswer?
        do {
            try await self.submit([draft], actor: actor, context) { answer = $0.first?.answer }
        } catch let error as UnclearSubmission {
            throw CommandError(
                .unavailable,
                "\(error.reason); it is unknown whether the request was stored; submit it again with: --request-id \(draft.requestID)"
            )
        }
        guard let answer else { throw CommandError(.gaveUp, "the queue did not answer") }
        return answer
    }

    /// Requests stored in one step.
    private static let chunk = 200
}
