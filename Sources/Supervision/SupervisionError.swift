/// Why a supervisor refused something, or ended other than by being stopped.
package struct SupervisionError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
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

    package let code: Code
    package let message: String

    package init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}

/// The rules that specifications and flags are held to before anything starts.
package enum SpecificationRule: String, Hashable, Sendable, CaseIterable {
    case invalidIntensity = "the intensity is a number of restarts, 0 or more"
    case invalidPeriod = "the period is a whole number of seconds, at least one"
    case duplicateID = "each child has an id of its own"
    case emptyID = "an id is not empty"
    case oneTemplate = "a simple-one-for-one supervisor has exactly one child specification, its template"
    case significantWithoutAutoShutdown = "a significant child wants auto-shutdown any-significant or all-significant"
    case significantPermanent = "a significant child is transient or temporary, since a permanent one has no final end"
    case invalidShutdown = "a shutdown time is 0 or more"
    case invalidBackoff = "a backoff has a first pause above 0, not above the longest, and a reset time of 0 or more"
    case invalidHeartbeatLimit = "a heartbeat limit is above 0"
}
