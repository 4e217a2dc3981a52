import Domain
import Testing

private struct Failure: Error {}

@Suite("withoutCancellation", .timeLimit(.minutes(5)))
struct WithoutCancellationTests {
    @Test("the work is not cancelled with its caller")
    func shield() async {
        let (gate, opener) = AsyncStream<Void>.makeStream()
        let task = Task {
            for await _ in gate {}
            return await withoutCancellation { Task.isCancelled }
        }
        task.cancel()
        opener.finish()
        #expect(await task.value == false)
    }

    @Test("what the work throws is thrown")
    func failure() async {
        await #expect(throws: Failure.self) {
            try await withoutCancellation { () async throws -> Int in throw Failure() }
        }
    }
}
