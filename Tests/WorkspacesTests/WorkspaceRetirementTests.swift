import Domain
import Synchronization
import TestSupport
import Testing

@testable import Workspaces

@Suite("An idle workspace")
struct WorkspaceRetirementTests {
    private final class Work: Sendable {
        let done = Atomic<Int>(0)
    }

    private func delivery(_ number: UInt64) throws -> Delivery {
        let workspace = try WorkspaceID("acme")
        return Delivery(
            workspace: workspace, jobID: JobID(milliseconds: number, randomHigh: 1, randomLow: number),
            entry: EntryReference(
                workspace: workspace, priority: .normal, id: EntryID(milliseconds: number, sequence: 0)),
            envelope: [], crashes: 0, failures: 0, isRecovered: false)
    }

    @Test("it goes when it had nothing to do since it was last asked, takes nothing then, and its run ends")
    func retires() async throws {
        let work = Work()
        let workspace = Workspace(
            id: try WorkspaceID("acme"), concurrency: 2, capacity: 10,
            work: { _ in work.done.wrappingAdd(1, ordering: .relaxed) }, release: { _ in })
        let run = Task { await workspace.run() }
        #expect(await workspace.take([try self.delivery(1), try self.delivery(2)]))
        // It had work since.
        #expect(await !workspace.retireIfIdle())
        try await eventually("its work is done") { work.done.load(ordering: .relaxed) == 2 }
        #expect(await workspace.take([try self.delivery(3)]))
        #expect(await !workspace.retireIfIdle())
        try await eventually("it is idle, and goes") { await workspace.retireIfIdle() }
        #expect(work.done.load(ordering: .relaxed) == 3)
        #expect(await !workspace.take([try self.delivery(4)]))
        await run.value
        // A late start of it has nothing to run either.
        await workspace.run()
        #expect(work.done.load(ordering: .relaxed) == 3)
    }
}
