/// What a TLS server shows and, for mutual TLS, whom it trusts. It speaks TLS 1.3 and nothing older.
package struct TLSServerConfiguration: Sendable, Hashable {
    /// A PEM file with the server's certificate chain, the server's own first.
    package var certificateFile: String
    /// A PEM file with its private key, which nobody but its owner may read.
    package var privateKeyFile: String
    /// A PEM file of the authorities that sign clients; when set, a client without a certificate is refused.
    package var clientAuthorityFile: String?

    /// Takes the paths as given; reads and checks no file.
    package init(certificateFile: String, privateKeyFile: String, clientAuthorityFile: String? = nil) {
        self.certificateFile = certificateFile
        self.privateKeyFile = privateKeyFile
        self.clientAuthorityFile = clientAuthorityFile
    }
}

/// A client whose certificate was verified. Fired as a user event before `TLSHandshakeCompleted`, by servers
/// that demand certificates.
package struct TLSPeer: Sendable, Hashable {
    /// The certificate's subject as RFC 2253 writes it, escaped to printable ASCII.
    package let subject: String
    /// SHA-256 of its SubjectPublicKeyInfo, which stays the same when the certificate is renewed.
    package let publicKeyDigest: [UInt8]

    /// Takes the parts as given; the digest has 32 bytes.
    package init(subject: String, publicKeyDigest: [UInt8]) {
        self.subject = subject
        self.publicKeyDigest = publicKeyDigest
    }
}
