import Domain
import Jobs
import JobsModel
import Synchronization
import TestSupport
import Testing

@testable import Worker

@Suite("CompletionWriter", .timeLimit(.minutes(5)))
struct CompletionWriterTests {
    private static let away = JobQueueError(code: .unavailable, message: "Redis is away")
    private static let full = JobQueueError(code: .full, message: "Redis is full")

    /// Collects what became of completions.
    private final class Results: Sendable {
        private let values = Mutex<[Bool]>([])
        var all: [Bool] { self.values.withLock { $0 } }
        var note: @Sendable (Bool) -> Void { { written in self.values.withLock { $0.append(written) } } }
    }

    private func completion(_ delivery: Delivery, _ end: Completion.End = .completed) -> Completion {
        Completion(
            delivery: delivery, end: end, action: "queue.noop", failures: 0, crashes: 0,
            auditEvent: Array(#"{"kind":"job.outcome"}"#.utf8))
    }

    /// Runs the writer while the body lasts.
    private func running(
        _ bench: WorkerBench, heartbeat: @escaping @Sendable () -> Void = {}, _ body: () async throws -> Void
    ) async throws {
        let writer = bench.writer
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await writer.run(heartbeat: heartbeat) }
            defer { group.cancelAll() }
            try await body()
        }
    }

    @Test("a completion that is written frees its slot and says so")
    func written() async throws {
        try await WorkerBench.with { bench in
            let results = Results()
            let delivery = try await bench.deliver()
            bench.writer.write(self.completion(delivery), resolved: results.note)
            try await self.running(bench) { await until { !results.all.isEmpty } }
            #expect(results.all == [true])
            #expect(await bench.registry.count == 0)
            #expect(try await bench.state(delivery) == .completed)
        }
    }

    @Test("a completion of a job that is another node's is refused, and its slot is free")
    func refused() async throws {
        try await WorkerBench.with { bench in
            let results = Results()
            let delivery = try await bench.deliver()
            // The next life of the node takes over.
            _ = try await bench.queue.join(as: WorkerBench.identity("n1", 2))
            bench.writer.write(self.completion(delivery), resolved: results.note)
            await bench.write()
            #expect(results.all == [false])
            #expect(await bench.registry.count == 0)
            #expect(try await bench.state(delivery) == .running)
        }
    }

    @Test("what comes while nothing runs is written by the next run")
    func queuedBefore() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            bench.writer.write(self.completion(delivery))
            #expect(await bench.queue.count(of: .finish) == 0)
            await bench.write()
            #expect(try await bench.state(delivery) == .completed)
        }
    }

    @Test("completions that wait together are written in batches of at most 128")
    func batches() async throws {
        try await WorkerBench.with(capacity: 300) { bench in
            let results = Results()
            for _ in 0..<300 { try await bench.submit() }
            let deliveries = try await bench.claim()
            try #require(deliveries.count == 300)
            for delivery in deliveries { bench.writer.write(self.completion(delivery), resolved: results.note) }
            try await self.running(bench) { await until { results.all.count == 300 } }
            #expect(results.all.allSatisfy { $0 })
            #expect(await bench.queue.count(of: .finish) == 3)
        }
    }

    @Test("while Redis is away an outcome is kept, and tried again with pauses that double up to a second")
    func outage() async throws {
        try await WorkerBench.with { bench in
            let results = Results()
            let delivery = try await bench.deliver()
            for _ in 0..<9 { await bench.queue.fail(.finish, with: Self.away) }
            bench.writer.write(self.completion(delivery), resolved: results.note)
            try await self.running(bench) {
                for (index, pause) in [20, 40, 80, 160, 320, 640, 1000, 1000, 1000].enumerated() {
                    // The heartbeat sleeps too.
                    await until { bench.clock.sleepers == 2 }
                    #expect(await bench.queue.count(of: .finish) == index + 1)
                    bench.clock.advance(by: .milliseconds(pause) - .nanoseconds(1))
                    #expect(await bench.queue.count(of: .finish) == index + 1)
                    bench.clock.advance(by: .nanoseconds(1))
                    await until { await bench.queue.count(of: .finish) == index + 2 }
                }
                await until { !results.all.isEmpty }
            }
            #expect(results.all == [true])
            #expect(try await bench.state(delivery) == .completed)
        }
    }

    @Test("an outage is not logged: the connection says it")
    func silentOutage() async throws {
        try await WorkerBench.with { bench in
            bench.writer.write(self.completion(try await bench.deliver()))
            await bench.queue.fail(.finish, with: Self.away)
            await bench.write()
            #expect(bench.log.count("error") == 0)
        }
    }

    @Test("an answer that cannot be understood is logged once, and the outcome is kept")
    func failure() async throws {
        try await WorkerBench.with { bench in
            let results = Results()
            bench.writer.write(self.completion(try await bench.deliver()), resolved: results.note)
            for _ in 0..<2 {
                await bench.queue.fail(.finish, with: JobQueueError(code: .failed, message: "what is this"))
            }
            try await self.running(bench) {
                for count in 1...2 {
                    await until { await bench.queue.count(of: .finish) == count && bench.clock.sleepers == 2 }
                    bench.clock.advance(by: .seconds(1))
                }
                await until { !results.all.isEmpty }
            }
            #expect(bench.log.count("completions cannot be written and are kept for another attempt") == 1)
        }
    }

    @Test("after a lost answer the refusal of the repeated write means that the first one was written")
    func lostAnswer() async throws {
        try await WorkerBench.with { bench in
            let results = Results()
            let delivery = try await bench.deliver()
            await bench.queue.fail(.finish, with: Self.away, losesAnswer: true)
            bench.writer.write(self.completion(delivery), resolved: results.note)
            await bench.write()
            #expect(results.all.isEmpty)
            #expect(await bench.registry.count == 1)
            await bench.write()
            #expect(results.all == [true])
            #expect(await bench.registry.count == 0)
            #expect(try await bench.audit().count == 1)
        }
    }

    @Test("a Redis that is full wrote nothing, so a later refusal is one")
    func fullIsNotLost() async throws {
        try await WorkerBench.with { bench in
            let results = Results()
            let delivery = try await bench.deliver()
            await bench.queue.fail(.finish, with: Self.full)
            bench.writer.write(self.completion(delivery), resolved: results.note)
            await bench.write()
            _ = try await bench.queue.join(as: WorkerBench.identity("n1", 2))
            await bench.write()
            #expect(results.all == [false])
        }
    }

    @Test("what could not be written stays first in line, in its order")
    func order() async throws {
        try await WorkerBench.with { bench in
            for _ in 0..<3 { try await bench.submit("site.build") }
            let deliveries = try await bench.claim()
            bench.writer.write(self.completion(deliveries[0], .cancelled))
            await bench.queue.fail(.finish, with: Self.away)
            await bench.write()
            bench.writer.write(self.completion(deliveries[1], .discarded))
            bench.writer.write(self.completion(deliveries[2]))
            await bench.write()
            #expect(await bench.queue.count(of: .finish) == 2)
            let states = [
                try await bench.state(deliveries[0]), try await bench.state(deliveries[1]),
                try await bench.state(deliveries[2]),
            ]
            #expect(states == [.cancelled, .discarded, .completed])
        }
    }

    @Test("an idle writer gives a heartbeat every five seconds, and makes no call")
    func heartbeat() async throws {
        try await WorkerBench.with { bench in
            let beats = Results()
            try await self.running(bench, heartbeat: { beats.note(true) }) {
                await until { beats.all.count == 1 }
                for count in 2...4 {
                    await bench.clock.waitForSleeper()
                    bench.clock.advance(by: .seconds(5))
                    await until { beats.all.count == count }
                }
            }
            #expect(await bench.queue.count(of: .finish) == 0)
        }
    }
}
