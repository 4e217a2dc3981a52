internal import COpenSSL
internal import Domain
internal import Glibc
internal import Synchronization

/// A server's certificate and key, shared by all its connections and replaced without a restart.
///
/// What was loaded stays in use until its successor is known to work; connections that stand keep theirs.
package final class TLSServerContext: Sendable {
    package let configuration: TLSServerConfiguration
    private let identity: Mutex<TLSServerIdentity>
    /// Held while files are read, so that the later of two reloads wins; connections never wait for it.
    private let reloading = Mutex(())

    /// Reads the configuration's files; throws `TLSError.configuration` that names the one at fault.
    package init(configuration: TLSServerConfiguration) throws(TLSError) {
        self.configuration = configuration
        self.identity = Mutex(try TLSServerIdentity(configuration))
    }

    /// Reads the files again. Throws `TLSError.configuration` when one cannot be used; the old ones then stay.
    package func reload() throws(TLSError) {
        try self.reloading.withLock { _ throws(TLSError) in try self.replace() }
    }

    /// Reloads when a file is another than the one in use; true when it did. A file that cannot be used is
    /// tried and reported again at each call, until it is put right.
    package func reloadIfChanged() throws(TLSError) -> Bool {
        try self.reloading.withLock { _ throws(TLSError) in
            let stamps = try FileStamp.all(of: self.configuration)
            guard stamps != self.current.stamps else { return false }
            try self.replace()
            return true
        }
    }

    /// When the server's certificate ends, in seconds since 1970.
    package var certificateExpiry: UInt64 { self.current.expiry }

    /// An expired certificate is served all the same: a warning is due, and clients refuse it by themselves.
    package var isExpired: Bool { UInt64(clamping: time(nil)) >= self.certificateExpiry }

    /// SHA-256 of the SubjectPublicKeyInfo of the server's certificate: what a client may pin.
    package var publicKeyDigest: [UInt8] { self.current.publicKeyDigest }

    func makeSession() throws(TLSError) -> TLSSession {
        try TLSSession(
            context: self.current.context,
            role: .server(verifiesClients: self.configuration.clientAuthorityFile != nil))
    }

    private var current: TLSServerIdentity { self.identity.withLock { $0 } }

    private func replace() throws(TLSError) {
        let fresh = try TLSServerIdentity(self.configuration)
        self.identity.withLock { $0 = fresh }
    }
}

/// What was made of the files at one time.
private struct TLSServerIdentity: Sendable {
    private static let ciphers = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
    private static let groups = "X25519:P-256:P-384"

    let context: TLSContextHandle
    let stamps: [FileStamp]
    let expiry: UInt64
    let publicKeyDigest: [UInt8]

    init(_ configuration: TLSServerConfiguration) throws(TLSError) {
        // Taken first: a file that changes while it is read differs from its stamp and is read again.
        self.stamps = try FileStamp.all(of: configuration)
        guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
            throw TLSSession.failure(.configuration, "OpenSSL could not make a TLS context")
        }
        self.context = unsafe TLSContextHandle(owning: context)
        guard unsafe orc_ssl_ctx_serve(context, Self.ciphers, Self.groups) == 1 else {
            throw TLSSession.failure(.configuration, "OpenSSL refused TLS 1.3 with its ciphers and groups")
        }
        try unsafe Self.load(configuration, into: context)
        if let file = configuration.clientAuthorityFile { try unsafe Self.demandClients(of: file, context) }
        var digest = [UInt8](repeating: 0, count: 32)
        guard let certificate = unsafe SSL_CTX_get0_certificate(context),
            unsafe orc_x509_spki_sha256(certificate, &digest) == 1
        else {
            throw TLSSession.failure(
                .configuration, "the server certificate \(configuration.certificateFile) cannot be read")
        }
        self.expiry = UInt64(clamping: unsafe orc_x509_not_after(certificate))
        self.publicKeyDigest = digest
    }

    private static func load(
        _ configuration: TLSServerConfiguration, into context: OpaquePointer
    ) throws(TLSError) {
        let (certificate, path) = (configuration.certificateFile, configuration.privateKeyFile)
        guard unsafe SSL_CTX_use_certificate_chain_file(context, certificate) == 1 else {
            throw TLSSession.failure(
                .configuration, "the server certificate \(certificate) cannot be used: expected a PEM chain")
        }
        let key = try unsafe self.privateKey(path)
        defer { unsafe EVP_PKEY_free(key) }
        guard unsafe SSL_CTX_use_PrivateKey(context, key) == 1, unsafe SSL_CTX_check_private_key(context) == 1 else {
            throw TLSSession.failure(
                .configuration, "the private key \(path) cannot be used: expected the PEM key of \(certificate)")
        }
    }

    /// Reads the key from the very file whose mode was checked. The caller frees it.
    private static func privateKey(_ path: String) throws(TLSError) -> OpaquePointer {
        // Without O_NONBLOCK a named pipe in the key's place would hold the caller.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file >= 0 else { throw FileStamp.unreadable("private key", path) }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { throw FileStamp.unreadable("private key", path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw FileStamp.irregular("private key", path) }
        guard status.st_mode & 0o077 == 0 else {
            let mode = String(status.st_mode & 0o7777, radix: 8)
            throw TLSError(
                code: .configuration,
                message: "the private key \(path) is open to others (mode \(mode)): make it its owner's, mode 600")
        }
        // Unbuffered, so that no copy of the key is left behind in memory that is not wiped.
        guard let source = unsafe BIO_new_fd(file, BIO_NOCLOSE) else {
            throw TLSSession.failure(.configuration, "OpenSSL could not read the private key \(path)")
        }
        defer { _ = unsafe BIO_free(source) }
        guard let key = unsafe orc_pem_private_key(source) else {
            throw TLSSession.failure(
                .configuration, "the private key \(path) cannot be used: expected a PEM key without a passphrase")
        }
        return unsafe key
    }

    private static func demandClients(of file: String, _ context: OpaquePointer) throws(TLSError) {
        guard unsafe SSL_CTX_load_verify_locations(context, file, nil) == 1,
            let names = unsafe SSL_load_client_CA_file(file)
        else {
            throw TLSSession.failure(
                .configuration,
                "the client CA file \(file) cannot be used: expected PEM certificates this user may read")
        }
        unsafe SSL_CTX_set_client_CA_list(context, names)
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    }
}

/// What distinguishes one state of a file from another without reading it. Symbolic links are followed: tools that
/// rotate certificates swap a link.
private struct FileStamp: Sendable, Hashable {
    private let inode: UInt64
    private let size: Int64
    private let mode: UInt32
    private let seconds: Int
    private let nanoseconds: Int

    private init(_ what: String, _ path: String) throws(TLSError) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw Self.unreadable(what, path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Self.irregular(what, path) }
        self.inode = UInt64(status.st_ino)
        self.size = Int64(status.st_size)
        self.mode = status.st_mode
        self.seconds = status.st_mtim.tv_sec
        self.nanoseconds = status.st_mtim.tv_nsec
    }

    static func all(of configuration: TLSServerConfiguration) throws(TLSError) -> [FileStamp] {
        var stamps = [
            try FileStamp("server certificate", configuration.certificateFile),
            try FileStamp("private key", configuration.privateKeyFile),
        ]
        if let file = configuration.clientAuthorityFile { stamps.append(try FileStamp("client CA file", file)) }
        return stamps
    }

    static func unreadable(_ what: String, _ path: String) -> TLSError {
        let reason = unsafe String(cString: strerror(errno))
        return TLSError(code: .configuration, message: "the \(what) \(path) cannot be read: \(reason)")
    }

    static func irregular(_ what: String, _ path: String) -> TLSError {
        TLSError(code: .configuration, message: "the \(what) \(path) is not a regular file")
    }
}
