package import Domain

/// A TLS connection was refused or could not be configured.
package typealias TLSError = CodedError<TLSErrorCode>

/// Why a TLS connection was refused or could not be configured.
package enum TLSErrorCode: Hashable, Sendable {
    /// A file or name in the configuration cannot be used; no connection was tried.
    case configuration
    /// The peer's certificate was checked and refused.
    case untrustedPeer
    /// The handshake or the record layer failed.
    case protocolFailure
    /// The handshake took longer than its deadline.
    case handshakeTimeout
}
