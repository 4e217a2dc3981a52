/// The host and port that a request names.
package struct EgressTarget: Hashable, Sendable, CustomStringConvertible {
    package let host: EgressHost
    package let port: UInt16

    /// Takes the parts as given.
    package init(host: EgressHost, port: UInt16) {
        self.host = host
        self.port = port
    }

    package var description: String { "\(self.host):\(self.port)" }
}
