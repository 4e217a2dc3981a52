/// What a TLS client trusts and shows.
package struct TLSConfiguration: Sendable, Hashable {
    /// The TLS versions that may be the lowest; the raw value is the version's number.
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

    /// Defaults to the system's authorities, no client certificate, no pins and TLS 1.3 or newer; reads and checks no
    /// file.
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
