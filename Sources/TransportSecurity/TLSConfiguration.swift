/// What a TLS client trusts and shows.
package struct TLSConfiguration: Sendable, Hashable {
    package enum Version: String, Sendable, Hashable {
        case tls12 = "1.2"
        case tls13 = "1.3"
    }

    /// The name or address that the server's certificate must carry.
    package var serverName: String
    /// A PEM file of trusted authorities; nil means the system's.
    package var authorityFile: String?
    /// A PEM file with the client's certificate chain, and one with its key; both or neither.
    package var certificateFile: String?
    package var privateKeyFile: String?
    /// SHA-256 of the SubjectPublicKeyInfo of the server's certificate (RFC 7469 §2.4); empty means no pin.
    package var pins: [[UInt8]]
    package var minimumVersion: Version

    package init(
        serverName: String, authorityFile: String? = nil, certificateFile: String? = nil, privateKeyFile: String? = nil,
        pins: [[UInt8]] = [], minimumVersion: Version = .tls13
    ) {
        self.serverName = serverName
        self.authorityFile = authorityFile
        self.certificateFile = certificateFile
        self.privateKeyFile = privateKeyFile
        self.pins = pins
        self.minimumVersion = minimumVersion
    }
}

/// Why a TLS connection was refused or could not be configured.
package struct TLSError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// A file or name in the configuration cannot be used; no connection was tried.
        case configuration
        /// The peer's certificate was judged and refused.
        case untrustedPeer
        /// The handshake or the record layer failed.
        case protocolFailure
        /// The handshake took longer than its deadline.
        case handshakeTimeout
    }

    package let code: Code
    package let message: String

    package init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}
