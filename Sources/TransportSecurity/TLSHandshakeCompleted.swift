/// Fired as a user event once the handshake is over and the peer is trusted.
package struct TLSHandshakeCompleted: Sendable {
    /// Has no parts.
    package init() {}
}
