import NIOPosix
import Synchronization
import Testing

@testable import Agents

@Suite("FileSystemPool")
struct FileSystemPoolTests {
    private struct Failure: Error {}

    @Test("it returns what the work returns and throws what it throws")
    func results() async throws {
        let pool = FileSystemPool(.singleton)
        #expect(try await pool.run { 7 } == 7)
        await #expect(throws: Failure.self) { try await pool.run { throw Failure() } }
    }

    @Test("work of a task that was canceled before does not begin")
    func canceled() async {
        let hasRun = Atomic(false)
        await withTaskGroup(of: Void.self) { group in
            group.cancelAll()
            group.addTask {
                await #expect(throws: CancellationError.self) {
                    try await FileSystemPool(.singleton).run { hasRun.store(true, ordering: .relaxed) }
                }
            }
        }
        #expect(!hasRun.load(ordering: .relaxed))
    }
}
