import Foundation
import Synchronization

/// A thread that does its work each time it is signalled, for the life of the process.
final class SignalledThread: Sendable {
    private let condition = NSCondition()
    private let isSignalled = Atomic<Bool>(false)

    /// Starts the thread; `work` runs once for one or more signals since it last began.
    init(work: @escaping @Sendable () -> Void) {
        let thread = Thread { [self] in
            while true {
                self.wait()
                work()
            }
        }
        thread.start()
    }

    /// Has the work done once more; never waits.
    func signal() {
        self.condition.lock()
        self.isSignalled.store(true, ordering: .relaxed)
        self.condition.signal()
        self.condition.unlock()
    }

    private func wait() {
        self.condition.lock()
        while !self.isSignalled.exchange(false, ordering: .relaxed) { self.condition.wait() }
        self.condition.unlock()
    }
}
