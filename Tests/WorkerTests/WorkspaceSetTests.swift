import Domain
import Jobs
import JobsModel
import Supervision
import TestSupport
import Testing

@testable import Worker

@Suite("WorkspaceSet", .timeLimit(.minutes(5)))
struct WorkspaceSetTests {
    private func environment(_ bench: WorkerBench) -> SupervisionEnvironment {
        let clock = bench.clock
        return SupervisionEnvironment(logger: bench.logger, clock: clock, now: { clock.now.offset }, jitter: { 1 })
    }

    private func set(_ bench: WorkerBench, concurrency: Int = 2, capacity: Int = 10) -> WorkspaceSet {
        WorkspaceSet(
            pipeline: bench.pipeline, concurrency: concurrency, capacity: capacity,
            environment: self.environment(bench))
    }

    /// Runs the set under a supervisor while the body lasts.
    private func running(_ set: WorkspaceSet, _ bench: WorkerBench, _ body: () async throws -> Void) async throws {
        let supervisor = try Supervisor(
            Supervisor.Configuration(name: "test", intensity: 1, period: .seconds(60)), children: [set.child],
            environment: self.environment(bench))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await supervisor.run() }
            defer { group.cancelAll() }
            try await body()
        }
    }

    @Test("deliveries are run, each by its workspace")
    func dispatch() async throws {
        try await WorkerBench.with { bench in
            for workspace in ["acme", "other", "acme"] { try await bench.submit(in: workspace) }
            let deliveries = try await bench.claim()
            let set = self.set(bench)
            try await self.running(set, bench) {
                await set.dispatch(deliveries)
                await until {
                    await bench.write()
                    return await bench.registry.count == 0
                }
                #expect(await set.retireIdle() == 2)
            }
            for delivery in deliveries { #expect(try await bench.state(delivery) == .completed) }
        }
    }

    @Test("what is dispatched before the supervisor runs waits for it")
    func beforeStart() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            let set = self.set(bench)
            await set.dispatch([delivery])
            await bench.write()
            #expect(try await bench.state(delivery) == .running)
            try await self.running(set, bench) {
                await until {
                    await bench.write()
                    return await bench.registry.count == 0
                }
            }
            #expect(try await bench.state(delivery) == .completed)
        }
    }

    @Test("what a workspace cannot hold goes back in line")
    func overflow() async throws {
        try await WorkerBench.with { bench in
            for _ in 0..<5 { try await bench.submit() }
            let deliveries = try await bench.claim()
            let set = self.set(bench, concurrency: 1, capacity: 2)
            await set.dispatch(deliveries)
            await bench.write()
            #expect(await bench.registry.count == 3)
            #expect(await bench.queue.statistics().waiting == 2)
        }
    }

    @Test("a drain gives back what waits, and what comes after it")
    func drain() async throws {
        try await WorkerBench.with { bench in
            for _ in 0..<3 { try await bench.submit() }
            let deliveries = try await bench.claim()
            let set = self.set(bench, concurrency: 1)
            await set.dispatch([deliveries[0], deliveries[1]])
            await set.drain()
            await set.dispatch([deliveries[2]])
            await bench.write()
            #expect(await bench.registry.count == 1)
            #expect(await bench.queue.statistics().waiting == 2)
        }
    }

    @Test("a workspace goes after two looks without work, and is new with its next delivery")
    func retires() async throws {
        try await WorkerBench.with { bench in
            let set = self.set(bench)
            try await self.running(set, bench) {
                for _ in 0..<2 {
                    await set.dispatch([try await bench.deliver()])
                    await until {
                        await bench.write()
                        return await bench.registry.count == 0
                    }
                    #expect(await set.retireIdle() == 1)
                    await until { await set.retireIdle() == 0 }
                }
            }
        }
    }

    @Test("a workspace with waiting work does not go")
    func staysBusy() async throws {
        try await WorkerBench.with { bench in
            let set = self.set(bench)
            await set.dispatch([try await bench.deliver()])
            for _ in 0..<3 { #expect(await set.retireIdle() == 1) }
        }
    }
}
