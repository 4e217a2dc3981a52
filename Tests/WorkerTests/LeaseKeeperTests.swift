import Domain
import Jobs
import JobsModel
import TestSupport
import Testing

@testable import Worker

/// With a lease of 30 s: a renewal each 3.75 s, seen at ticks of half a second.
@Suite("LeaseKeeper", .timeLimit(.minutes(5)))
struct LeaseKeeperTests {
    private static let away = JobQueueError(code: .unavailable, message: "Redis is away")

    private func keeper(_ bench: WorkerBench) -> LeaseKeeper {
        let clock = bench.clock
        return LeaseKeeper(
            lease: bench.lease, registry: bench.registry, metrics: bench.jobMetrics, logger: bench.logger,
            clock: clock, elapsed: { clock.now.offset },
            queueClock: QueueClock(elapsed: { clock.now.offset }, wall: { 0 }))
    }

    /// Runs a keeper while the body lasts; the body begins when the keeper sleeps.
    private func keeping(
        _ bench: WorkerBench, heartbeat: @escaping @Sendable () -> Void = {}, _ body: () async throws -> Void
    ) async throws {
        let keeper = self.keeper(bench)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await keeper.run(heartbeat: heartbeat) }
            defer { group.cancelAll() }
            await bench.clock.waitForSleeper()
            try await body()
        }
    }

    /// Lets so much time pass, a tick of the keeper at a time; it sleeps again when this returns.
    private func pass(_ duration: Duration, _ bench: WorkerBench) async {
        for _ in 0..<Int(duration / .milliseconds(500)) { await self.jump(.milliseconds(500), bench) }
    }

    /// Lets so much time pass at once.
    private func jump(_ duration: Duration, _ bench: WorkerBench) async {
        bench.clock.advance(by: duration)
        await bench.clock.waitForSleeper()
    }

    @Test("the lease is renewed after an eighth of its term, and again after each")
    func renewals() async throws {
        try await WorkerBench.with { bench in
            _ = try await bench.lease.join()
            try await self.keeping(bench) {
                await self.pass(.milliseconds(3500), bench)
                #expect(await bench.queue.count(of: .renew) == 0)
                await self.pass(.milliseconds(500), bench)
                #expect(await bench.queue.count(of: .renew) == 1)
                await self.pass(.seconds(40), bench)
                #expect(await bench.queue.count(of: .renew) == 11)
            }
        }
    }

    @Test("a node whose keeper runs is never found dead")
    func staysAlive() async throws {
        try await WorkerBench.with { bench in
            _ = try await bench.lease.join()
            let other = NodeLease(queue: bench.queue, identity: try WorkerBench.identity("n2"))
            _ = try await other.join()
            try await self.keeping(bench) {
                for _ in 0..<5 {
                    await self.pass(.seconds(20), bench)
                    let dead = try await other.renew().dead
                    #expect(dead.isEmpty)
                }
            }
        }
    }

    @Test("jobs whose time has come are put in line at each tick, hundreds at a time")
    func dueJobs() async throws {
        try await WorkerBench.with { bench in
            _ = try await bench.lease.join()
            try await self.keeping(bench) {
                await self.pass(.seconds(2), bench)
                #expect(await bench.queue.count(of: .moveDue) == 4)
            }
        }
    }

    @Test("each tick gives a heartbeat")
    func heartbeat() async throws {
        try await WorkerBench.with { bench in
            _ = try await bench.lease.join()
            let (beats, beat) = AsyncStream<Void>.makeStream()
            try await self.keeping(bench, heartbeat: { beat.yield() }) { await self.pass(.seconds(2), bench) }
            beat.finish()
            var count = 0
            for await _ in beats { count += 1 }
            #expect(count == 5)
        }
    }

    @Test("a dead node's jobs are put back in line, once it was suspected for long enough")
    func rescue() async throws {
        try await WorkerBench.with { bench in
            let dead = NodeLease(queue: bench.queue, identity: try WorkerBench.identity("n2"))
            _ = try await dead.join()
            for _ in 0..<3 { try await bench.submit() }
            #expect(try await dead.claim(ClaimRequest(most: 9)).deliveries.count == 3)
            _ = try await bench.lease.join()
            try await self.keeping(bench) {
                await self.pass(.seconds(30), bench)
                #expect(await bench.queue.statistics().running == 3)
                await self.pass(.seconds(10), bench)
                #expect(await bench.queue.statistics().running == 0)
                #expect(await bench.queue.statistics().waiting == 3)
                #expect(bench.metric("orchestra_claims_total", #"{reason="rescued"}"#) == "3")
                let taken = try await bench.claim()
                #expect(taken.map(\.crashes) == [1, 1, 1])
            }
        }
    }

    @Test("a job that somebody cancelled is cancelled here with the next renewal")
    func cancelled() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            let job = try #require(delivery.jobID)
            let state = await bench.queue.cancel(job, in: delivery.workspace, request: [], outcome: [])
            #expect(state == .running)
            try await self.keeping(bench) {
                await self.pass(.seconds(4), bench)
                let run = JobRun(entry: delivery.entry, clock: bench.clock)
                #expect(await bench.registry.register(run) == .user)
            }
        }
    }

    @Test("leases that the queue knows and the node does not are to be asked for")
    func unknownLeases() async throws {
        try await WorkerBench.with { bench in
            try await bench.submit()
            _ = try await bench.lease.join()
            // The answer to this claim was lost.
            _ = try await bench.lease.claim(ClaimRequest(most: 9))
            try await self.keeping(bench) {
                await self.pass(.milliseconds(3500), bench)
                #expect(await !bench.registry.takeNeedsReconciliation(lane: 0))
                await self.pass(.milliseconds(500), bench)
                #expect(await bench.registry.takeNeedsReconciliation(lane: 0))
            }
        }
    }

    @Test("after a pause longer than the lease what the queue gave to others is lost")
    func pausedNode() async throws {
        try await WorkerBench.with { bench in
            for _ in 0..<2 { try await bench.submit() }
            let deliveries = try await bench.claim()
            try await self.keeping(bench) {
                // One of the two was taken away meanwhile, by its end under this incarnation.
                let gone = Completion(
                    delivery: deliveries[0], end: .completed, action: "queue.noop", failures: 0, crashes: 0)
                let isWritten = try await bench.lease.finish([gone])
                #expect(isWritten == [true])
                await self.jump(.seconds(31), bench)
                await until { bench.log.count("the lease was not renewed in time") == 1 }
                let lost = JobRun(entry: deliveries[0].entry, clock: bench.clock)
                let kept = JobRun(entry: deliveries[1].entry, clock: bench.clock)
                #expect(await bench.registry.register(lost) == .leaseLost)
                #expect(await bench.registry.register(kept) == nil)
            }
        }
    }

    @Test("a pause of the lease's length loses nothing")
    func shortPause() async throws {
        try await WorkerBench.with { bench in
            _ = try await bench.deliver()
            try await self.keeping(bench) {
                await self.jump(.seconds(30), bench)
                #expect(bench.log.count("the lease was not renewed in time") == 0)
            }
        }
    }

    @Test("a node that the queue does not know any more loses all that it holds")
    func forgotten() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            try await self.keeping(bench) {
                await bench.queue.empty()
                await self.pass(.seconds(4), bench)
                let run = JobRun(entry: delivery.entry, clock: bench.clock)
                #expect(await bench.registry.register(run) == .leaseLost)
                #expect(bench.log.count("jobs.lost") >= 1)
            }
        }
    }

    @Test("an outage ends nothing: the renewal is tried again at the next tick")
    func outage() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            try await self.keeping(bench) {
                for _ in 0..<3 { await bench.queue.fail(.renew, with: Self.away) }
                await self.pass(.milliseconds(5500), bench)
                #expect(await bench.queue.count(of: .renew) == 4)
                let run = JobRun(entry: delivery.entry, clock: bench.clock)
                #expect(await bench.registry.register(run) == nil)
            }
        }
    }

    @Test("after an outage other nodes get the time to renew before they are judged")
    func outageThenJudgement() async throws {
        try await WorkerBench.with { bench in
            let other = NodeLease(queue: bench.queue, identity: try WorkerBench.identity("n2"))
            _ = try await other.join()
            try await bench.submit()
            _ = try await other.claim(ClaimRequest(most: 9))
            _ = try await bench.lease.join()
            try await self.keeping(bench) {
                await self.pass(.seconds(30), bench)
                await bench.queue.fail(.renew, with: Self.away)
                await self.pass(.seconds(20), bench)
                // Its lease was over twenty seconds ago, and still nobody took its job.
                #expect(await bench.queue.statistics().running == 1)
            }
        }
    }

    @Test("an answer that cannot be understood ends the keeper, for its supervisor to see")
    func failure() async throws {
        try await WorkerBench.with { bench in
            _ = try await bench.lease.join()
            let error = JobQueueError(code: .failed, message: "what is this")
            await bench.queue.fail(.moveDue, with: error)
            let keeper = self.keeper(bench)
            await #expect(throws: error) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await keeper.run() }
                    await bench.clock.waitForSleeper()
                    bench.clock.advance(by: .milliseconds(500))
                    try await group.next()
                }
            }
        }
    }
}
