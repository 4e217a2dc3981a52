internal import Synchronization

/// Runs an operation once for all callers that need its result at the same time, by key.
package final class SharedRuns<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let tasks = Mutex<[Key: Task<Value, Never>]>([:])

    /// Begins without a run.
    package init() {}

    /// The result of the run of this key that is going on, or of a new one of `operation`. A cancelled caller does not end
    /// the run, which others may wait for.
    package func value(of key: Key, _ operation: @escaping @Sendable () async -> Value) async -> Value {
        await self.task(of: key, operation).value
    }

    /// Begins a run of `operation` for those that need its result later, unless one of this key goes on.
    package func start(_ key: Key, _ operation: @escaping @Sendable () async -> Value) {
        _ = self.task(of: key, operation)
    }

    private func task(of key: Key, _ operation: @escaping @Sendable () async -> Value) -> Task<Value, Never> {
        self.tasks.withLock { tasks in
            if let task = tasks[key] { return task }
            let task = Task {  // not a child of one caller: all that need its value await it
                let value = await operation()
                self.tasks.withLock { $0[key] = nil }
                return value
            }
            tasks[key] = task
            return task
        }
    }
}
