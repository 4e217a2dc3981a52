internal import COpenSSL
internal import Domain
internal import NIOCore

/// A counted reference to a context of libssl, freed with its last owner.
///
/// libssl lets every thread make sessions of a context that is not configured any more. What crosses threads
/// is the context's address; only the files that call libssl make a pointer of it.
@safe
final class TLSContextHandle: Sendable {
    private let address: UInt

    init(owning context: OpaquePointer) { self.address = UInt(bitPattern: context) }

    deinit { unsafe SSL_CTX_free(self.pointer) }

    var pointer: OpaquePointer? { unsafe OpaquePointer(bitPattern: self.address) }
}

/// One session of OpenSSL over two memory BIOs, a client's or a server's. Calls into libssl are in this file
/// and in the two that make contexts. It stays on the event loop that made it.
@safe
final class TLSSession {
    enum Progress: Equatable {
        case done
        case needsInput
    }

    enum Role {
        case client(TLSConfiguration)
        case server(verifiesClients: Bool)
    }

    private let session: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer
    private let role: Role

    /// The session keeps what it needs of the context: a reload may drop the context meanwhile.
    init(context: TLSContextHandle, role: Role) throws(TLSError) {
        let session = unsafe SSL_new(context.pointer)
        let input = unsafe BIO_new(BIO_s_mem())
        let output = unsafe BIO_new(BIO_s_mem())
        guard let madeSession = unsafe session, let madeInput = unsafe input, let madeOutput = unsafe output else {
            unsafe SSL_free(session)
            _ = unsafe BIO_free(input)
            _ = unsafe BIO_free(output)
            throw Self.failure(.configuration, "OpenSSL could not make a session")
        }
        unsafe SSL_set_bio(madeSession, madeInput, madeOutput)
        unsafe self.session = madeSession
        unsafe self.input = madeInput
        unsafe self.output = madeOutput
        self.role = role
        switch role {
        case .client(let configuration):
            unsafe SSL_set_connect_state(madeSession)
            try self.expectPeerName(configuration.serverName)
        case .server:
            unsafe SSL_set_accept_state(madeSession)
        }
    }

    deinit { unsafe SSL_free(self.session) }

    var isServer: Bool {
        if case .server = self.role { true } else { false }
    }

    private func expectPeerName(_ name: String) throws(TLSError) {
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
            unsafe BIO_write(self.input, raw.baseAddress, Int32(clamping: length))
        }
        guard Int(written) == length else {
            throw Self.failure(.protocolFailure, "TLS input could not be buffered")
        }
    }

    /// Goes on with the handshake; after `.done` the peer has been checked as far as the role demands it.
    func handshake() throws(TLSError) -> Progress {
        ERR_clear_error()  // SSL_get_error looks at what other calls of this thread left
        let result = unsafe SSL_do_handshake(self.session)
        if result == 1 {
            try self.checkPins()
            return .done
        }
        switch unsafe SSL_get_error(self.session, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsInput
        default:
            let verdict = unsafe SSL_get_verify_result(self.session)
            guard verdict == Int(X509_V_OK) else { throw self.refusal(verdict) }
            throw Self.failure(.protocolFailure, "the TLS handshake failed")
        }
    }

    private func refusal(_ verdict: Int) -> TLSError {
        ERR_clear_error()
        let reason = unsafe String(cString: X509_verify_cert_error_string(verdict))
        let message =
            switch self.role {
            case .client(let configuration):
                "the server's certificate was refused: \(reason) (expected a valid one for '\(configuration.serverName)')"
            case .server:
                "the client's certificate was refused: \(reason)"
            }
        return TLSError(code: .untrustedPeer, message: message)
    }

    private func checkPins() throws(TLSError) {
        guard case .client(let configuration) = self.role, !configuration.pins.isEmpty else { return }
        var digest = [UInt8](repeating: 0, count: 32)
        guard let certificate = unsafe SSL_get0_peer_certificate(self.session),
            unsafe orc_x509_spki_sha256(certificate, &digest) == 1, configuration.pins.contains(digest)
        else {
            throw TLSError(
                code: .untrustedPeer, message: "the server's key is none of the pinned ones (SHA-256 of its SPKI)")
        }
    }

    /// Whom a server that verifies its clients is talking to, once the handshake is done; nil for all others.
    func verifiedClient() throws(TLSError) -> TLSPeer? {
        guard case .server(verifiesClients: true) = self.role else { return nil }
        let limit = 1024
        var subject = [CChar](repeating: 0, count: limit)
        var digest = [UInt8](repeating: 0, count: 32)
        guard let certificate = unsafe SSL_get0_peer_certificate(self.session),
            unsafe SSL_get_verify_result(self.session) == Int(X509_V_OK),
            unsafe orc_x509_spki_sha256(certificate, &digest) == 1
        else {
            throw Self.failure(.untrustedPeer, "the client's certificate was refused: it cannot be read")
        }
        let length = unsafe orc_x509_subject(certificate, &subject, Int32(limit))
        guard length >= 0 else {
            throw Self.failure(.untrustedPeer, "the client's certificate was refused: its subject is too long")
        }
        let text = String(decoding: subject.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return TLSPeer(subject: text, publicKeyDigest: digest)
    }

    /// Decrypts what has arrived into `buffer`; false when the peer closed its side.
    func read(into buffer: inout ByteBuffer) throws(TLSError) -> Bool {
        ERR_clear_error()
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
        ERR_clear_error()
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
            let count = unsafe BIO_read(self.output, raw.baseAddress, Int32(clamping: pending))
            return max(0, Int(count))
        }
        return buffer
    }

    /// Closes this side only; the peer may still send.
    func sendCloseNotify() {
        _ = unsafe SSL_shutdown(self.session)
        ERR_clear_error()
    }

    static func failure(_ code: TLSErrorCode, _ message: String) -> TLSError {
        let number = ERR_get_error()
        ERR_clear_error()
        guard number != 0, let text = unsafe ERR_reason_error_string(number) else {
            return TLSError(code: code, message: message)
        }
        return TLSError(code: code, message: "\(message) (\(unsafe String(cString: text)))")
    }
}
