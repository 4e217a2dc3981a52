/// The result of one attempt to connect.
package enum EgressDialResult: Hashable, Sendable {
    case connected
    case failed
    case timedOut
}
