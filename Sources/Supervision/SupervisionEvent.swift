/// A decision of a supervisor, or what led to it.
package struct SupervisionEvent: Hashable, Sendable {
    /// The kind of an event.
    package enum Kind: Hashable, Sendable {
        case started
        case ended(ChildExit)
        /// It ended before it was ready.
        case startFailed(String)
        /// It said that it is not to run.
        case startIgnored
        /// It will be started again, after this pause.
        case restarting(reason: String, pause: Duration)
        /// It gave no heartbeat and was instructed to end.
        case hung(Duration)
        /// It ignored its cancellation and was left behind.
        case leaked
        /// A leaked child has ended after all.
        case returned
        /// The restart budget is spent by this child: all children are ended.
        case gaveUp(reason: String)
        case finished
    }

    /// The supervisor's name.
    package let supervisor: String
    /// nil for what concerns the supervisor itself.
    package let child: ChildReference?
    package let kind: Kind
}
