internal import CLinux
internal import NIOPosix
internal import Synchronization

/// Runs Argon2id on a few threads of low priority, with a bounded number of waiting callers.
///
/// A check takes tens of milliseconds of a core and 19 MiB (measured: 50 ms on a busy machine); without a bound a
/// flood of keys would take all of both.
package final class HashingPool: Sendable {
    private let pool: NIOThreadPool
    private let waiting = Atomic<Int>(0)
    private let limit: Int

    /// At most `limit` callers wait.
    package init(threads: Int, limit: Int) {
        self.pool = NIOThreadPool(numberOfThreads: max(1, threads))
        self.limit = limit
        self.pool.start()
    }

    /// Ends the threads; callers that still wait get nil.
    package func stop() { self.pool.shutdownGracefully { _ in } }

    /// The result of `body`, run on a thread of the pool; nil when too many callers wait or the pool was stopped.
    func run<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result? {
        guard self.waiting.add(1, ordering: .relaxed).newValue <= self.limit else {
            self.waiting.subtract(1, ordering: .relaxed)
            return nil
        }
        defer { self.waiting.subtract(1, ordering: .relaxed) }
        // It throws only when the pool was stopped.
        return try? await self.pool.runIfActive {
            orc_yield_to_others()
            return body()
        }
    }
}
