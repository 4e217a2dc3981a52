/// The limits of one entry. The server around the machine applies them; nil means the server's default.
package struct EgressLimits: Hashable, Sendable {
    /// Connections that are open at the same time.
    package var connections: Int?
    package var requestsPerMinute: Int?
    /// Bytes in both directions in one day of UTC.
    package var bytesPerDay: Int?
    /// How long a connection can be idle.
    package var idle: Duration?

    /// Takes the limits as given.
    package init(
        connections: Int? = nil, requestsPerMinute: Int? = nil, bytesPerDay: Int? = nil, idle: Duration? = nil
    ) {
        self.connections = connections
        self.requestsPerMinute = requestsPerMinute
        self.bytesPerDay = bytesPerDay
        self.idle = idle
    }
}
