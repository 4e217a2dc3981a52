package import NIOCore

/// The bounds of the egress server.
package struct EgressServerLimits: Hashable, Sendable {
    /// Connections of one launch at the same time; further ones are answered with 503.
    package var connections = 256
    /// How long the head of a request may take, with the body of a call of a model; and the ClientHello in a tunnel.
    package var head = TimeAmount.seconds(10)
    /// How long the resolver may take.
    package var resolution = TimeAmount.seconds(5)
    /// How long one attempt to connect may take; all attempts until a connection take three times that at most, and as much
    /// again after a wait for a provider's limit.
    package var dial = TimeAmount.seconds(10)
    /// How long a connection may be without a byte in either direction.
    package var idle = TimeAmount.seconds(900)
    /// How long the audit trail may take until the request is refused.
    package var audit = TimeAmount.seconds(3)
    /// How long a caller may take to read the rest of what was sent to it.
    package var drain = TimeAmount.seconds(60)
    /// How long the connection stays open after that, so that the close is no reset.
    package var close = TimeAmount.seconds(1)
    /// New connections of one launch: this many at once and so many more each second; further ones are answered with 503.
    package var connectionBurst = 512
    package var connectionsPerSecond = 50
    /// Rows for refused requests of one launch: this many at once and one more each second; further ones are counted in the
    /// next row.
    package var refusalBurst = 60
    /// Events of one launch that wait for the audit trail at the same time.
    package var launchUnacknowledged = 64
    /// The same over all launches.
    package var unacknowledged = 4096
    /// How long the check of a large request of a model may take, with the wait for a thread.
    package var check = TimeAmount.seconds(30)
    /// Bytes of bodies of model calls that are held at the same time, of one launch and of all. While a body is sent it takes
    /// up to three times as much memory: as it came, as it goes out, and encrypted.
    package var launchBodies = 64 * 1024 * 1024
    package var bodies = 512 * 1024 * 1024
    /// How long a call of a model may take from its first byte to its last: less than its reservation holds.
    package var call = TimeAmount.minutes(25)

    /// Has the defaults.
    package init() {}
}
