internal import COpenSSL
internal import Domain

/// Makes the contexts of clients. A connection that shares none gets one of its own, so that it reads the certificate files
/// again: a rotated certificate needs no restart. `TLSClientContexts` keeps contexts for a while.
enum TLSClientContext {
    /// Loads the files of the configuration; throws `TLSError.configuration` that names the one at fault.
    static func make(_ configuration: TLSConfiguration) throws(TLSError) -> TLSContextHandle {
        guard !configuration.serverName.isEmpty else {
            throw TLSError(code: .configuration, message: "TLS needs the server's name or address to check against")
        }
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
            throw TLSSession.failure(.configuration, "OpenSSL could not make a TLS context")
        }
        let handle = unsafe TLSContextHandle(owning: context)
        try unsafe self.configure(context, configuration)
        return handle
    }

    private static func configure(_ context: OpaquePointer, _ configuration: TLSConfiguration) throws(TLSError) {
        let minimum = configuration.minimumVersion == .tls13 ? orc_tls13() : orc_tls12()
        guard unsafe orc_ssl_ctx_set_min_tls(context, minimum) == 1 else {
            throw TLSSession.failure(
                .configuration, "OpenSSL refused TLS \(configuration.minimumVersion.rawValue)")
        }
        unsafe orc_ssl_ctx_harden(context)
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        if let file = configuration.authorityFile {
            guard unsafe SSL_CTX_load_verify_locations(context, file, nil) == 1 else {
                throw TLSSession.failure(
                    .configuration, "the CA file \(file) cannot be used: expected PEM certificates this user may read")
            }
        } else if unsafe SSL_CTX_set_default_verify_paths(context) != 1 {
            throw TLSSession.failure(.configuration, "the system's certificate authorities could not be loaded")
        }
        switch (configuration.certificateFile, configuration.privateKeyFile) {
        case (nil, nil): break
        case (let certificate?, let key?):
            guard unsafe SSL_CTX_use_certificate_chain_file(context, certificate) == 1 else {
                throw TLSSession.failure(
                    .configuration, "the client certificate \(certificate) cannot be used: expected a PEM chain")
            }
            guard unsafe SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1,
                unsafe SSL_CTX_check_private_key(context) == 1
            else {
                throw TLSSession.failure(
                    .configuration, "the private key \(key) cannot be used: expected the PEM key of \(certificate)")
            }
        default:
            throw TLSError(
                code: .configuration, message: "a client certificate and its private key must be given together")
        }
    }
}
