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
