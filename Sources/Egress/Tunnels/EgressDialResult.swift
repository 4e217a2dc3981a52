/// The result of one attempt to connect.
package enum EgressDialResult: Hashable, Sendable {
    case connected
    /// A connection to this address that was used before, whose server has proved its name.
    case reused(EgressAddress)
    case failed
    case timedOut
    /// The server has no certificate that is accepted for its name.
    case untrusted
}
