package import NIOPosix

/// Threads for blocking work on files and processes. The cooperative pool has as few threads as the machine has cores; one
/// that waits for a disk delays the renewal of leases.
package struct FileSystemPool: Sendable {
    private let threads: NIOThreadPool

    /// `threads` must be started, and must outlive every call.
    package init(_ threads: NIOThreadPool) { self.threads = threads }

    /// Runs `body` on one of the threads and returns what it returns; throws what it throws, and `CancellationError` when
    /// the task is canceled before `body` began. A `body` that has begun is never interrupted.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await self.threads.runIfActive(body)
    }
}
