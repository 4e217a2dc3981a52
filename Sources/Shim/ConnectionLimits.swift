/// Which connections to the shim's socket are closed to make room. A node that restarts must always be able to take its
/// agent back, so neither idle viewers nor connections that never identify themselves use up the owner's place.
enum ConnectionLimits {
    /// Connections that have not sent the token; with more, the oldest is closed.
    static let strangers = 8
    /// Viewers; one more is refused.
    static let viewers = 32
    /// Milliseconds in which a connection must send the token.
    static let helloTimeout: UInt64 = 5000

    /// The indices of the connections to close now.
    static func expired(_ clients: [SocketClient], at now: UInt64) -> [Int] {
        let strangers = clients.indices.filter { clients[$0].role == .stranger && !clients[$0].isGone }
        let surplus = strangers.sorted { clients[$0].since < clients[$1].since }
            .prefix(max(0, strangers.count - self.strangers))
        return strangers.filter { surplus.contains($0) || now - clients[$0].since > self.helloTimeout }
    }

    /// Whether another viewer may join.
    static func hasRoomForViewer(_ clients: [SocketClient]) -> Bool {
        clients.count { $0.role == .viewer && !$0.isGone } < self.viewers
    }
}
