/// What the bytes of an allowed connection must be.
package enum EgressProtocol: String, Hashable, Sendable, CaseIterable {
    /// TLS whose visible server name equals the host.
    case tls
    /// Any bytes. Only for a tunnel; nothing inside it is checked.
    case tcp
    /// HTTP/1.1 that the listener reads itself.
    case http
}
