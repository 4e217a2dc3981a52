/// The result of one attempt to connect.
package enum EgressDialResult: Hashable, Sendable {
    case connected
    case failed
    case timedOut
    /// The server has no certificate that is accepted for its name.
    case untrusted
}
