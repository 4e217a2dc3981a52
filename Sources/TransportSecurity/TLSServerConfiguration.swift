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
