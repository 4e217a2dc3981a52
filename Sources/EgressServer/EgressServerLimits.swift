package import NIOCore

/// The bounds of the egress server.
package struct EgressServerLimits: Hashable, Sendable {
    /// Connections of one launch at the same time; further ones are answered with 503.
    package var connections = 256
    /// How long the head of a request, and the ClientHello in a tunnel, may take.
    package var head = TimeAmount.seconds(10)
    /// How long the resolver may take.
    package var resolution = TimeAmount.seconds(5)
    /// How long one attempt to connect may take.
    package var dial = TimeAmount.seconds(10)
    /// How long a connection may be without a byte in either direction.
    package var idle = TimeAmount.seconds(900)
    /// How long the audit trail may take until the request is refused.
    package var audit = TimeAmount.seconds(3)
    /// How long a caller may read its answer before the connection is closed.
    package var close = TimeAmount.seconds(1)
    /// Events that wait for the audit trail at the same time, over all launches.
    package var unacknowledged = 4096

    /// Has the defaults.
    package init() {}
}
