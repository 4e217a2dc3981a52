import Domain
import Synchronization
import TestSupport
import Testing

@testable import Jobs
@testable import JobsModel

@Suite("InMemoryJobQueue", .timeLimit(.minutes(5)))
struct InMemoryJobQueueTests {
    private let clock: VirtualClock
    private let queue: InMemoryJobQueue
    private let acme: WorkspaceID

    init() throws {
        let clock = VirtualClock()
        self.clock = clock
        self.queue = InMemoryJobQueue(
            limits: QueueLimits(), now: { 1_800_000_000_000 + UInt64(clock.now.offset.milliseconds) }, clock: clock)
        self.acme = try WorkspaceID("acme")
    }

    private func submission(_ number: UInt64) throws -> SealedSubmission {
        SealedSubmission(
            id: JobID(milliseconds: 1_800_000_000_000, randomHigh: 0, randomLow: number), workspace: self.acme,
            action: try ActionName("queue.noop"), priority: .normal, start: .now, tags: [],
            requestDigest: UUIDBytes(high: 0, low: number).bytes, paramsDigest: [1], uniqueDigest: nil, tick: nil,
            envelope: [1], keyID: 1, keyStamp: [], sealedTerms: [], auditEvent: Array(#"{"workspace":"acme"}"#.utf8))
    }

    private func identity() throws -> NodeIdentity {
        NodeIdentity(node: try NodeID("n1"), incarnation: Incarnation(value: 1), owner: "here")
    }

    @Test("a listener that waits is woken by a job")
    func listen() async throws {
        let before = await self.queue.position(after: nil)
        async let after: QueuePosition = {
            var position = before
            _ = try await self.queue.listen(from: &position, timeout: .seconds(5))
            return position
        }()
        await self.clock.waitForSleeper()
        _ = try await self.queue.submit([try self.submission(1)])
        #expect(try await after != before)
    }

    @Test("what came before the listener did is not missed")
    func listenLate() async throws {
        var position = await self.queue.position(after: nil)
        let before = position
        _ = try await self.queue.submit([try self.submission(1)])
        let cancelled = try await self.queue.listen(from: &position, timeout: .seconds(5))
        #expect(cancelled.isEmpty && position != before)
    }

    @Test("a listener receives nothing within its time, and keeps its position")
    func listenTimeout() async throws {
        let before = await self.queue.position(after: nil)
        async let after: QueuePosition = {
            var position = before
            _ = try await self.queue.listen(from: &position, timeout: .seconds(5))
            return position
        }()
        await self.clock.waitForSleeper()
        self.clock.advance(by: .seconds(5))
        #expect(try await after == before)
    }

    @Test("a listener receives each job that is to be cancelled, once")
    func listenCancelled() async throws {
        _ = try await self.queue.submit([try self.submission(1)])
        _ = try await self.queue.join(as: try self.identity())
        let delivery = try #require(
            try await self.queue.claim(ClaimRequest(most: 1), as: try self.identity()).deliveries.first)
        var position = await self.queue.position(after: nil)
        let job = try #require(delivery.jobID)
        _ = await self.queue.cancel(job, in: self.acme, request: [], outcome: [])
        let cancelled = try await self.queue.listen(from: &position, timeout: .zero)
        let again = try await self.queue.listen(from: &position, timeout: .zero)
        #expect(cancelled == [job] && again.isEmpty)
    }

    @Test("a wait for a job's end ends with it")
    func waitForEnd() async throws {
        let submission = try self.submission(1)
        _ = try await self.queue.submit([submission])
        async let state = self.queue.waitForEnd(of: submission.id, in: self.acme, timeout: .seconds(60))
        await self.clock.waitForSleeper()
        _ = await self.queue.cancel(submission.id, in: self.acme, request: [], outcome: [])
        #expect(try await state == .cancelled)
    }

    @Test("a wait for a job's end ends with its time, and reports the state then")
    func waitTimeout() async throws {
        let submission = try self.submission(1)
        _ = try await self.queue.submit([submission])
        async let state = self.queue.waitForEnd(of: submission.id, in: self.acme, timeout: .seconds(60))
        await self.clock.waitForSleeper()
        self.clock.advance(by: .seconds(60))
        #expect(try await state == .available)
    }

    @Test("a wait for an unknown job ends at once")
    func waitUnknown() async throws {
        let unknown = JobID(milliseconds: 1, randomHigh: 1, randomLow: 1)
        #expect(try await self.queue.waitForEnd(of: unknown, in: self.acme, timeout: .seconds(60)) == nil)
    }

    @Test("a stored key is not replaced")
    func keys() async throws {
        await self.queue.storeKey([1], id: 1, of: self.acme)
        await self.queue.storeKey([2], id: 1, of: self.acme)
        #expect(try await self.queue.wrappedKey(1, of: self.acme) == [1])
        #expect(try await self.queue.wrappedKey(2, of: self.acme) == nil)
    }

    @Test("the first fingerprint stays")
    func fingerprint() async {
        #expect(await self.queue.masterFingerprint(own: [1]) == [1])
        #expect(await self.queue.masterFingerprint(own: [2]) == [1])
    }

    @Test("an emptied queue knows nothing: no job, no key, no node, no fingerprint")
    func empty() async throws {
        let submission = try self.submission(1)
        _ = try await self.queue.submit([submission])
        await self.queue.storeKey([1], id: 1, of: self.acme)
        _ = await self.queue.masterFingerprint(own: [1])
        _ = try await self.queue.join(as: try self.identity())
        await self.queue.empty()
        #expect(await self.queue.job(submission.id, in: self.acme) == nil)
        #expect(try await self.queue.wrappedKey(1, of: self.acme) == nil)
        #expect(await self.queue.masterFingerprint(own: [2]) == [2])
        await #expect(throws: JobQueueError.self) { try await self.queue.renew(as: try self.identity()) }
    }

    @Test("the trail is read newest first, by pages, and others' events are left out")
    func trail() async throws {
        for number: UInt64 in 1...3 {
            _ = try await self.queue.submit([try self.submission(number)])
            try await self.queue.appendAudit(Array(#"{"workspace":"other"}"#.utf8), of: try WorkspaceID("other"))
        }
        let first = await self.queue.auditTrail(of: self.acme, before: nil, limit: 2)
        #expect(first.events.count == 2 && first.next != nil)
        let second = await self.queue.auditTrail(of: self.acme, before: first.next, limit: 2)
        #expect(second.events.count == 1 && second.next == nil)
    }

    @Test("a call that is to fail does so once, before or after its effect", arguments: [false, true])
    func faults(losesAnswer: Bool) async throws {
        let error = JobQueueError(code: .unavailable, message: "away")
        await self.queue.fail(.submit, with: error, losesAnswer: losesAnswer)
        await #expect(throws: error) { try await self.queue.submit([try self.submission(1)]) }
        let state: JobState? = losesAnswer ? .available : nil
        #expect(await self.queue.job(try self.submission(1).id, in: self.acme)?.state == state)
        _ = try await self.queue.submit([try self.submission(2)])
        #expect(await self.queue.count(of: .submit) == 2)
    }
}
