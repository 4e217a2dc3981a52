internal import CLinux
internal import NIOPosix
internal import Synchronization

/// Runs Argon2id beside everything else: on few threads of low priority, with few callers waiting.
///
/// A check takes tens of milliseconds of a core and 19 MiB (measured: 50 ms on a busy machine); without a bound a
/// flood of wrong keys would take all of both.
package final class HashingPool: Sendable {
    private let pool: NIOThreadPool
    private let waiting = Atomic<Int>(0)
    private let limit: Int

    /// `limit` callers wait at most.
    package init(threads: Int, limit: Int) {
        self.pool = NIOThreadPool(numberOfThreads: max(1, threads))
        self.limit = limit
        self.pool.start()
    }

    /// Ends the threads; what still waits is refused.
    package func stop() { self.pool.shutdownGracefully { _ in } }

    /// Nil when too many wait already. Half of the places are kept for callers with `isReserved`.
    func run<Result: Sendable>(
        isReserved: Bool = true, _ body: @escaping @Sendable () -> Result
    ) async -> Result? {
        let limit = isReserved ? self.limit : max(1, self.limit / 2)
        guard self.waiting.add(1, ordering: .relaxed).newValue <= limit else {
            self.waiting.subtract(1, ordering: .relaxed)
            return nil
        }
        defer { self.waiting.subtract(1, ordering: .relaxed) }
        return try? await self.pool.runIfActive {
            orc_yield_to_others()
            return body()
        }
    }
}
