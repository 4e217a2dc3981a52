internal import COpenSSL
internal import NIOCore

/// One client session of OpenSSL over two memory BIOs; every call into libssl is in this file.
///
/// The session makes a context of its own, so that each new connection reads the certificate files
/// anew: a rotated certificate needs no restart. It stays on the event loop that made it.
@safe
final class TLSSession {
    enum Progress: Equatable {
        case done
        case needsInput
    }

    private let context: OpaquePointer
    private let session: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer
    private let configuration: TLSConfiguration

    /// Loads the files of the configuration; throws `TLSError.configuration` that names the one at fault.
    init(configuration: TLSConfiguration) throws(TLSError) {
        self.configuration = configuration
        unsafe self.context = try Self.makeContext(configuration)
        guard let session = unsafe SSL_new(self.context), let input = unsafe BIO_new(BIO_s_mem()),
            let output = unsafe BIO_new(BIO_s_mem())
        else {
            throw Self.failure(.configuration, "OpenSSL could not make a session")
        }
        unsafe SSL_set_bio(session, input, output)
        unsafe SSL_set_connect_state(session)
        unsafe self.session = session
        unsafe self.input = input
        unsafe self.output = output
        try self.expectPeerName()
    }

    deinit {
        unsafe SSL_free(self.session)
        unsafe SSL_CTX_free(self.context)
    }

    private func expectPeerName() throws(TLSError) {
        let name = self.configuration.serverName
        // SSL_set1_host must not get an address: addresses are checked against the IP entries instead.
        if let parameters = unsafe SSL_get0_param(self.session),
            unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1
        {
            return
        }
        ERR_clear_error()
        guard unsafe SSL_set1_host(self.session, name) == 1, unsafe orc_ssl_set_sni(self.session, name) == 1 else {
            throw Self.failure(.configuration, "'\(name)' cannot be checked as a server name")
        }
    }

    func receive(_ bytes: ByteBufferView) throws(TLSError) {
        let length = bytes.count
        let written = unsafe bytes.withUnsafeBytes { raw in
            unsafe BIO_write(self.input, raw.baseAddress, Int32(length))
        }
        guard written == Int32(length) else { throw Self.failure(.protocolFailure, "TLS input could not be buffered") }
    }

    /// Goes on with the handshake; after `.done` the peer's name, chain and pins have been checked.
    func handshake() throws(TLSError) -> Progress {
        let result = unsafe SSL_do_handshake(self.session)
        if result == 1 {
            try self.checkPins()
            return .done
        }
        switch unsafe SSL_get_error(self.session, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsInput
        default:
            let verdict = unsafe SSL_get_verify_result(self.session)
            if verdict != Int(X509_V_OK) {
                ERR_clear_error()
                let reason = unsafe String(cString: X509_verify_cert_error_string(verdict))
                throw TLSError(
                    code: .untrustedPeer,
                    message:
                        "the server's certificate was refused: \(reason) (expected a valid one for '\(self.configuration.serverName)')"
                )
            }
            throw Self.failure(.protocolFailure, "the TLS handshake failed")
        }
    }

    private func checkPins() throws(TLSError) {
        guard !self.configuration.pins.isEmpty else { return }
        var digest = [UInt8](repeating: 0, count: 32)
        guard let certificate = unsafe SSL_get0_peer_certificate(self.session),
            unsafe orc_x509_spki_sha256(certificate, &digest) == 1, self.configuration.pins.contains(digest)
        else {
            throw TLSError(
                code: .untrustedPeer, message: "the server's key is none of the pinned ones (SHA-256 of its SPKI)")
        }
    }

    /// Decrypts what has arrived into `buffer`; false when the peer closed its side.
    func read(into buffer: inout ByteBuffer) throws(TLSError) -> Bool {
        while true {
            var count = 0
            var result: Int32 = 0
            unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 16 * 1024) { raw in
                result = unsafe SSL_read_ex(self.session, raw.baseAddress, raw.count, &count)
                return result == 1 ? count : 0
            }
            if result == 1 { continue }
            switch unsafe SSL_get_error(self.session, result) {
            case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return true
            case SSL_ERROR_ZERO_RETURN: return false
            default: throw Self.failure(.protocolFailure, "a TLS record could not be read")
            }
        }
    }

    /// Encrypts all of `buffer`; memory BIOs take everything, so a short write is a failure.
    func write(_ buffer: ByteBuffer) throws(TLSError) {
        var rest = buffer
        while rest.readableBytes > 0 {
            var count = 0
            let result = unsafe rest.readableBytesView.withUnsafeBytes { raw in
                unsafe SSL_write_ex(self.session, raw.baseAddress, raw.count, &count)
            }
            guard result == 1, count > 0 else {
                throw Self.failure(.protocolFailure, "a TLS record could not be written")
            }
            rest.moveReaderIndex(forwardBy: count)
        }
    }

    /// Takes the bytes that must go to the peer; nil when there are none.
    func takeOutput(allocator: ByteBufferAllocator) -> ByteBuffer? {
        let pending = unsafe BIO_ctrl_pending(self.output)
        guard pending > 0 else { return nil }
        var buffer = allocator.buffer(capacity: pending)
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: pending) { raw in
            let count = unsafe BIO_read(self.output, raw.baseAddress, Int32(pending))
            return max(0, Int(count))
        }
        return buffer
    }

    func sendCloseNotify() {
        _ = unsafe SSL_shutdown(self.session)
        ERR_clear_error()
    }

    static func failure(_ code: TLSError.Code, _ message: String) -> TLSError {
        let number = ERR_get_error()
        ERR_clear_error()
        guard number != 0, let text = unsafe ERR_reason_error_string(number) else {
            return TLSError(code: code, message: message)
        }
        return TLSError(code: code, message: "\(message) (\(unsafe String(cString: text)))")
    }

    private static func makeContext(_ configuration: TLSConfiguration) throws(TLSError) -> OpaquePointer {
        guard !configuration.serverName.isEmpty else {
            throw TLSError(code: .configuration, message: "TLS needs the server's name or address to check against")
        }
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
            throw self.failure(.configuration, "OpenSSL could not make a TLS context")
        }
        do throws(TLSError) {
            try unsafe self.configure(context, configuration)
        } catch {
            unsafe SSL_CTX_free(context)
            throw error
        }
        return unsafe context
    }

    private static func configure(_ context: OpaquePointer, _ configuration: TLSConfiguration) throws(TLSError) {
        let minimum = configuration.minimumVersion == .tls13 ? orc_tls13() : orc_tls12()
        guard unsafe orc_ssl_ctx_set_min_tls(context, minimum) == 1 else {
            throw self.failure(.configuration, "OpenSSL refused TLS \(configuration.minimumVersion.rawValue)")
        }
        unsafe orc_ssl_ctx_harden(context)
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        if let file = configuration.authorityFile {
            guard unsafe SSL_CTX_load_verify_locations(context, file, nil) == 1 else {
                throw self.failure(
                    .configuration, "the CA file \(file) cannot be used: expected PEM certificates this user may read")
            }
        } else if unsafe SSL_CTX_set_default_verify_paths(context) != 1 {
            throw self.failure(.configuration, "the system's certificate authorities could not be loaded")
        }
        switch (configuration.certificateFile, configuration.privateKeyFile) {
        case (nil, nil): break
        case (let certificate?, let key?):
            guard unsafe SSL_CTX_use_certificate_chain_file(context, certificate) == 1 else {
                throw self.failure(
                    .configuration, "the client certificate \(certificate) cannot be used: expected a PEM chain")
            }
            guard unsafe SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1,
                unsafe SSL_CTX_check_private_key(context) == 1
            else {
                throw self.failure(
                    .configuration, "the private key \(key) cannot be used: expected the PEM key of \(certificate)")
            }
        default:
            throw TLSError(
                code: .configuration, message: "a client certificate and its private key must be given together")
        }
    }
}
