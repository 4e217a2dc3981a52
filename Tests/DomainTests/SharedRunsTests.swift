import Domain
import Testing

private actor Counter {
    private(set) var count = 0

    func increment() -> Int {
        self.count += 1
        return self.count
    }
}

@Suite("SharedRuns", .timeLimit(.minutes(5)))
struct SharedRunsTests {
    @Test("callers of one key share a run, another key has its own, and after its end a run begins again")
    func shared() async {
        let (runs, counter) = (SharedRuns<String, Int>(), Counter())
        let (gate, opener) = AsyncStream<Void>.makeStream()
        // Each runs up to its first wait before the next line, so all have come before the gate opens.
        let callers = (0..<3).map { _ in
            Task.immediate {
                await runs.value(of: "a") {
                    for await _ in gate { break }
                    return await counter.increment()
                }
            }
        }
        #expect(await runs.value(of: "b") { 7 } == 7)
        opener.finish()
        for caller in callers { #expect(await caller.value == 1) }
        #expect(await counter.count == 1)
        #expect(await runs.value(of: "a") { await counter.increment() } == 2)
    }

    @Test("a cancelled caller does not end the run")
    func cancelled() async {
        let runs = SharedRuns<Int, Bool>()
        let (gate, opener) = AsyncStream<Void>.makeStream()
        let (begun, beginning) = AsyncStream<Void>.makeStream()
        let caller = Task {
            await runs.value(of: 1) {
                beginning.finish()
                for await _ in gate {}
                return Task.isCancelled
            }
        }
        for await _ in begun {}
        caller.cancel()
        opener.finish()
        #expect(await caller.value == false)
    }
}
