/// What a supervisor says of a child.
package struct ChildStatus: Hashable, Sendable {
    /// The state of a child.
    package enum State: String, Hashable, Sendable {
        case starting
        case running
        /// It runs, and waits for something outside that is away.
        case waiting
        case restarting
        case stopping
        /// Known, and not running: stopped by call, ended for good, or not to be run.
        case none
        /// It ignored its cancellation past its shutdown time.
        case leaked
    }

    package let reference: ChildReference
    package let type: ChildType
    package let state: State
    package let restarts: Int
    /// Why it ended last; nil when it never has.
    package let lastReason: String?
    /// What it waits for, and why that is away.
    package let dependency: String?
    /// How long it has been running; nil when it is not.
    package let uptime: Duration?

    package var id: String { self.reference.id }
}
