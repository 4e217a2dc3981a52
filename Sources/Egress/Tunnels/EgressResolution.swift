/// The answer of the resolver to one question.
package enum EgressResolution: Hashable, Sendable {
    /// All addresses of both families, in the order of preference.
    case addresses([EgressAddress])
    /// The name does not exist, or the name server reports an error.
    case failed
    case timedOut
}
