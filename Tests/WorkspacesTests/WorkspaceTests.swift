import Domain
import Synchronization
import Testing

@testable import Workspaces

@Suite("Workspace", .timeLimit(.minutes(5)))
struct WorkspaceTests {
    /// Runs that go on until the test ends them, and what was released.
    private final class Runs: Sendable {
        private struct State {
            var begun: [UInt64] = []
            var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
            var released: [UInt64] = []
        }

        private let state = Mutex(State())

        var begun: [UInt64] { self.state.withLock { $0.begun } }
        var released: [UInt64] { self.state.withLock { $0.released } }
        /// How many have begun and not ended.
        var open: Int { self.state.withLock { $0.waiters.count } }

        @Sendable func work(_ delivery: Delivery) async {
            await withCheckedContinuation { waiter in
                self.state.withLock { state in
                    state.begun.append(delivery.entry.id.milliseconds)
                    state.waiters[delivery.entry.id.milliseconds] = waiter
                }
            }
        }

        @Sendable func release(_ deliveries: [Delivery]) {
            self.state.withLock { $0.released += deliveries.map(\.entry.id.milliseconds) }
        }

        func end(_ number: UInt64) { self.state.withLock { $0.waiters.removeValue(forKey: number) }?.resume() }

        func waitForBegun(_ count: Int) async {
            while self.begun.count < count { await Task.yield() }
        }
    }

    private final class Flag: Sendable {
        private let value = Atomic<Bool>(false)
        var isRaised: Bool { self.value.load(ordering: .relaxed) }
        func raise() { self.value.store(true, ordering: .relaxed) }
    }

    private func deliveries(_ numbers: ClosedRange<UInt64>) throws -> [Delivery] {
        let workspace = try WorkspaceID("acme")
        return numbers.map { number in
            Delivery(
                workspace: workspace, jobID: nil,
                entry: EntryReference(
                    workspace: workspace, priority: .normal, id: EntryID(milliseconds: number, sequence: 0)),
                envelope: [], crashes: 0, failures: 0, isRecovered: false)
        }
    }

    private func workspace(_ runs: Runs, concurrency: Int = 2, capacity: Int = 3) throws -> Workspace {
        Workspace(
            id: try WorkspaceID("acme"), concurrency: concurrency, capacity: capacity, work: runs.work,
            release: runs.release)
    }

    /// Runs the workspace while the body lasts; all runs are ended then.
    private func running(_ workspace: Workspace, _ runs: Runs, _ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await workspace.run() }
            defer {
                group.cancelAll()
                for number in runs.begun { runs.end(number) }
            }
            try await body()
        }
    }

    @Test("as many deliveries run at once as may, the rest waits, and what does not fit is released")
    func admission() async throws {
        let runs = Runs()
        let workspace = try self.workspace(runs)
        try await self.running(workspace, runs) {
            let isTaken = await workspace.take(try self.deliveries(1...7))
            #expect(isTaken)
            await runs.waitForBegun(2)
            #expect(runs.begun.sorted() == [1, 2] && runs.released == [6, 7])
            #expect(await workspace.load == (2, 3))
            await workspace.drain()
        }
    }

    @Test("the end of a run begins what waited longest")
    func next() async throws {
        let runs = Runs()
        let workspace = try self.workspace(runs, concurrency: 1)
        try await self.running(workspace, runs) {
            _ = await workspace.take(try self.deliveries(1...3))
            for number: UInt64 in 1...3 {
                await runs.waitForBegun(Int(number))
                runs.end(number)
            }
            #expect(runs.begun == [1, 2, 3])
        }
    }

    @Test("what was taken before the workspace ran waits for its run")
    func takenBefore() async throws {
        let runs = Runs()
        let workspace = try self.workspace(runs)
        _ = await workspace.take(try self.deliveries(1...2))
        #expect(runs.begun.isEmpty)
        try await self.running(workspace, runs) { await runs.waitForBegun(2) }
    }

    @Test("a drain releases what waits, takes nothing more, and ends no run")
    func drain() async throws {
        let runs = Runs()
        let workspace = try self.workspace(runs, concurrency: 1)
        try await self.running(workspace, runs) {
            _ = await workspace.take(try self.deliveries(1...3))
            await runs.waitForBegun(1)
            await workspace.drain()
            #expect(runs.released == [2, 3] && runs.open == 1)
            // It takes the batch, and releases all of it.
            let isTaken = await workspace.take(try self.deliveries(4...5))
            #expect(isTaken)
            #expect(runs.released == [2, 3, 4, 5])
        }
        #expect(runs.begun == [1])
    }

    @Test("its run ends only when its runs have ended")
    func endsAfterRuns() async throws {
        let runs = Runs()
        let workspace = try self.workspace(runs)
        _ = await workspace.take(try self.deliveries(1...1))
        let flag = Flag()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await workspace.run()
                flag.raise()
            }
            await runs.waitForBegun(1)
            group.cancelAll()
            for _ in 0..<100 { await Task.yield() }
            #expect(!flag.isRaised)
            runs.end(1)
        }
        #expect(flag.isRaised)
    }

    @Test("a workspace that runs again goes on with what was taken meanwhile")
    func runsAgain() async throws {
        let runs = Runs()
        let workspace = try self.workspace(runs)
        try await self.running(workspace, runs) {
            _ = await workspace.take(try self.deliveries(1...1))
            await runs.waitForBegun(1)
        }
        _ = await workspace.take(try self.deliveries(2...2))
        #expect(runs.begun == [1])
        try await self.running(workspace, runs) { await runs.waitForBegun(2) }
        #expect(runs.begun == [1, 2])
    }

    // MARK: - Retirement

    @Test("a workspace that never had work retires when it is first asked")
    func retiresUnused() async throws {
        let workspace = try self.workspace(Runs())
        #expect(await workspace.retireIfIdle())
    }

    @Test("one with a batch since it was last asked does not retire, though all of it was released")
    func recentBatch() async throws {
        let workspace = try self.workspace(Runs(), concurrency: 0, capacity: 0)
        _ = await workspace.take(try self.deliveries(1...1))
        #expect(await !workspace.retireIfIdle())
        #expect(await workspace.retireIfIdle())
    }

    @Test("one whose run goes on does not retire, however often it is asked")
    func busy() async throws {
        let runs = Runs()
        let workspace = try self.workspace(runs)
        try await self.running(workspace, runs) {
            _ = await workspace.take(try self.deliveries(1...1))
            await runs.waitForBegun(1)
            for _ in 0..<3 { #expect(await !workspace.retireIfIdle()) }
        }
    }

    @Test("one with work that waits for its run does not retire")
    func waiting() async throws {
        let workspace = try self.workspace(Runs())
        _ = await workspace.take(try self.deliveries(1...1))
        for _ in 0..<3 { #expect(await !workspace.retireIfIdle()) }
    }

    @Test("a retired workspace takes nothing, and its run ends at once")
    func retired() async throws {
        let runs = Runs()
        let workspace = try self.workspace(runs)
        #expect(await workspace.retireIfIdle())
        let isTaken = await workspace.take(try self.deliveries(1...1))
        #expect(!isTaken)
        await workspace.run()
        #expect(runs.begun.isEmpty && runs.released.isEmpty)
    }

    @Test("retirement ends the run that goes on")
    func retirementEndsRun() async throws {
        let runs = Runs()
        let workspace = try self.workspace(runs)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await workspace.run() }
            #expect(await workspace.retireIfIdle())
            await group.waitForAll()
        }
    }
}
