import NIOPosix
import Testing

@testable import Agents

@Suite("FileSystemPool")
struct FileSystemPoolTests {
    private struct Failure: Error {}

    @Test("it returns what the work returns and throws what it throws")
    func results() async throws {
        let pool = FileSystemPool(.singleton)
        let value = try await pool.run { 7 }
        #expect(value == 7)
        await #expect(throws: Failure.self) { try await pool.run { throw Failure() } }
    }

    @Test("work of a task that was canceled before does not begin")
    func canceled() async {
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            // Work that had begun would throw this.
            try await FileSystemPool(.singleton).run { throw Failure() }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
