import Domain
import Jobs
import JobsModel
import TestSupport
import Testing

@testable import Worker

@Suite("RunRegistry", .timeLimit(.minutes(5)))
struct RunRegistryTests {
    /// A run of a delivery that goes on until it is cancelled, registered and begun.
    private func running(
        _ delivery: Delivery, in bench: WorkerBench, _ body: () async throws -> Void
    ) async throws -> Outcome {
        let run = JobRun(entry: delivery.entry, clock: bench.clock)
        try #require(await bench.registry.register(run) == nil)
        async let outcome = run.run(timeout: .seconds(3600)) {
            let (never, keeper) = AsyncStream<Void>.makeStream()
            for await _ in never {}
            keeper.finish()
            return .cancelled(.drain)
        }
        await bench.clock.waitForSleeper()
        try await body()
        return await outcome
    }

    private func run(_ delivery: Delivery, _ bench: WorkerBench) -> JobRun {
        JobRun(entry: delivery.entry, clock: bench.clock)
    }

    @Test("the gauge shows what is held")
    func gauge() async throws {
        try await WorkerBench.with { bench in
            #expect(bench.metric("orchestra_jobs_in_flight") == "0")
            let delivery = try await bench.deliver()
            #expect(bench.metric("orchestra_jobs_in_flight") == "1")
            await bench.registry.release([delivery.entry])
            #expect(bench.metric("orchestra_jobs_in_flight") == "0")
        }
    }

    @Test("a run of what is not held is refused")
    func refused() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            await bench.registry.release([delivery.entry])
            #expect(await bench.registry.register(self.run(delivery, bench)) == .leaseLost)
        }
    }

    @Test("a job that was cancelled before its run began does not begin")
    func cancelledBefore() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            await bench.registry.cancel(try #require(delivery.jobID), .user)
            #expect(await bench.registry.register(self.run(delivery, bench)) == .user)
        }
    }

    @Test("a job's cancellation ends its run")
    func cancel() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            let outcome = try await self.running(delivery, in: bench) {
                await bench.registry.cancel(try #require(delivery.jobID), .user)
            }
            #expect(outcome == .cancelled(.user))
        }
    }

    @Test("a cancellation of another job ends nothing")
    func cancelOther() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            let outcome = try await self.running(delivery, in: bench) {
                await bench.registry.cancel(JobID(milliseconds: 1, randomHigh: 1, randomLow: 1), .user)
                await bench.registry.cancelAll(of: try WorkspaceID("other"), .security)
                await bench.registry.cancelAll(.drain)
            }
            #expect(outcome == .cancelled(.drain))
        }
    }

    @Test("a workspace's cancellation ends its runs, and what has not begun does not begin")
    func cancelWorkspace() async throws {
        try await WorkerBench.with { bench in
            try await bench.submit()
            try await bench.submit()
            let deliveries = try await bench.claim()
            let outcome = try await self.running(deliveries[0], in: bench) {
                await bench.registry.cancelAll(of: try WorkspaceID("acme"), .security)
            }
            #expect(outcome == .cancelled(.security))
            #expect(await bench.registry.register(self.run(deliveries[1], bench)) == .security)
        }
    }

    @Test("a lost lease ends the run, and counts")
    func dropLost() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            let outcome = try await self.running(delivery, in: bench) {
                #expect(await bench.registry.dropLost(asked: [delivery.entry], known: [delivery.entry]) == 0)
                #expect(await bench.registry.dropLost(asked: [delivery.entry], known: []) == 1)
            }
            #expect(outcome == .cancelled(.leaseLost))
        }
    }

    @Test("what the queue knows and the node does not hold is new")
    func reconcile() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            await bench.registry.release([delivery.entry])
            let (lease, registry) = (bench.lease, bench.registry)
            #expect(try await registry.reconcile { try await lease.held() }.map(\.entry) == [delivery.entry])
            #expect(try await registry.reconcile { try await lease.held() }.isEmpty)
        }
    }

    @Test("a question without an answer changes nothing, and its error is passed on")
    func reconcileFails() async throws {
        try await WorkerBench.with { bench in
            let registry = bench.registry
            let error = JobQueueError(code: .unavailable, message: "away")
            await #expect(throws: error) { try await registry.reconcile { throw error } }
            #expect(await registry.count == 0)
        }
    }

    @Test("a lane's need of reconciliation is taken once, by that lane")
    func needsReconciliation() async throws {
        try await WorkerBench.with { bench in
            await bench.registry.requireReconciliation(lane: 1)
            #expect(await !bench.registry.takeNeedsReconciliation(lane: 0))
            #expect(await bench.registry.takeNeedsReconciliation(lane: 1))
            #expect(await !bench.registry.takeNeedsReconciliation(lane: 1))
        }
    }

    @Test("a release wakes every lane's listener")
    func releaseWakes() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            var first = await bench.registry.listen(lane: 0).makeAsyncIterator()
            var second = await bench.registry.listen(lane: 1).makeAsyncIterator()
            await bench.registry.release([delivery.entry])
            #expect(await first.next() != nil)
            #expect(await second.next() != nil)
        }
    }

    @Test("wakes that nobody has listened to are one")
    func coalesced() async throws {
        try await WorkerBench.with { bench in
            let stream = await bench.registry.listen(lane: 0)
            for _ in 0..<5 { await bench.registry.wake(lane: 0) }
            // The next listener of the lane ends the stream.
            _ = await bench.registry.listen(lane: 0)
            var wakes = 0
            for await _ in stream { wakes += 1 }
            #expect(wakes == 1)
        }
    }

    // MARK: - The drain

    @Test("with nothing held the wait for idleness ends at once")
    func idle() async throws { try await WorkerBench.with { await $0.registry.waitUntilIdle() } }

    @Test("the wait for idleness ends with the last release")
    func becomesIdle() async throws {
        try await WorkerBench.with { bench in
            try await bench.submit()
            try await bench.submit()
            let deliveries = try await bench.claim()
            let registry = bench.registry
            async let idle: Void = registry.waitUntilIdle()
            await registry.release([deliveries[0].entry])
            #expect(await registry.count == 1)
            await registry.release([deliveries[1].entry])
            await idle
            #expect(await registry.count == 0)
        }
    }

    @Test("the wait for idleness can be given up, also before it began")
    func givenUp() async throws {
        try await WorkerBench.with { bench in
            _ = try await bench.deliver()
            await bench.registry.stopWaitingUntilIdle()
            await bench.registry.waitUntilIdle()
            #expect(await bench.registry.count == 1)
        }
    }
}
