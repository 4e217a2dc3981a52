import Testing

@testable import API

@Suite("AsyncSemaphore")
struct AsyncSemaphoreTests {
    @Test("as many pass as there are permits, the next one when a permit is given back")
    func permits() async throws {
        let semaphore = AsyncSemaphore(1)
        try await semaphore.take()
        async let second: Void = semaphore.take()
        semaphore.give()
        try await second
    }

    @Test("a caller that is cancelled while it waits stops waiting and takes no permit")
    func cancelled() async throws {
        let semaphore = AsyncSemaphore(1)
        try await semaphore.take()
        let waiting = Task { try await semaphore.take() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        semaphore.give()
        try await semaphore.take()
    }

    @Test("a caller that was cancelled before takes no permit")
    func cancelledBefore() async throws {
        let semaphore = AsyncSemaphore(1)
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            try await semaphore.take()
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        try await semaphore.take()
    }

    @Test("every one of many callers passes once")
    func many() async throws {
        let semaphore = AsyncSemaphore(3)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    try await semaphore.take()
                    await Task.yield()
                    semaphore.give()
                }
            }
            try await group.waitForAll()
        }
        for _ in 0..<3 { try await semaphore.take() }
    }
}

@Suite("FirstReceipt")
struct FirstReceiptTests {
    @Test("a caller that waits continues when the receipt arrives, and at once when it has arrived")
    func arrives() async {
        let receipt = FirstReceipt()
        async let waiting: Void = receipt.wait()
        receipt.arrived()
        await waiting
        await receipt.wait()
    }
}

@Suite("KeepAlivePending")
struct KeepAlivePendingTests {
    @Test("a signal is raised once until it is handled")
    func raise() {
        let signal = KeepAlivePending()
        #expect(signal.raise())
        #expect(!signal.raise())
        signal.lower()
        #expect(signal.raise())
    }
}
