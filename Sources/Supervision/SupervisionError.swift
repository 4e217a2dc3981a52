package import Domain

/// A supervisor refused a call, or ended other than by being stopped.
package typealias SupervisionError = CodedError<SupervisionErrorCode>

/// Why a supervisor refused a call, or ended.
package enum SupervisionErrorCode: Hashable, Sendable {
    /// More restarts than the intensity allows within the period; all children have ended.
    case gaveUp
    /// A child did not become ready at the supervisor's start; those before it have ended again.
    case failedToStart
    /// The supervisor was killed; all children have ended or are leaked.
    case killed
    /// A rule of specifications was broken; nothing was started.
    case invalidSpecification(SpecificationRule)
    /// A child of this id runs.
    case alreadyStarted
    /// A child of this id is known but does not run: restart or delete it.
    case alreadyPresent
    case notFound
    /// The child runs, so it cannot be restarted or deleted.
    case running
    /// The child waits for its restart.
    case restarting
    /// Children of a simple-one-for-one supervisor have no ids: use their references.
    case simpleOneForOne
    /// The child ended before it was ready.
    case startFailed
    /// The child's last instance ignored its cancellation and still runs, so no other may start.
    case leaked
    /// The supervisor does not run.
    case notRunning
}
