/// The output of the rules for one request.
package enum EgressDecision: Hashable, Sendable {
    /// The entry allows the request. The addresses of the host are still to be checked.
    case allow(EgressEntry)
    case refuse(EgressRefusal)
}
