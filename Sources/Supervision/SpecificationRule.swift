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
