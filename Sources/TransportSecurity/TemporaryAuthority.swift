internal import COpenSSL
internal import Domain
internal import Glibc

/// A certificate authority made for one run, with certificates for the names of its servers. Keys are Ed25519, and all of it
/// is valid for a day.
///
/// It is for runs in which a server of this program's own stands in for another one. The key of the authority never
/// leaves this process.
@safe
package final class TemporaryAuthority {
    private let directory: String
    private let key: OpaquePointer

    private static let name = "orchestra temporary authority"
    private static let lifetime = 86_400
    private static let clockSkew = 3_600
    /// `MBSTRING_ASC`, a macro that Swift does not import.
    private static let text: Int32 = 0x1001

    /// Writes the authority's certificate as `ca.pem` into a directory that exists; throws `TLSError.configuration`.
    package init(directory: String) throws(TLSError) {
        self.directory = directory
        unsafe self.key = try unsafe Self.makeKey()
        try unsafe self.write(Self.name, of: self.key, names: nil, to: "ca.pem")
    }

    deinit { unsafe EVP_PKEY_free(self.key) }

    /// The path of the authority's certificate.
    package var certificateFile: String { "\(self.directory)/ca.pem" }

    /// Writes a new key and certificate for these DNS names and addresses (`DNS:…`, `IP:…`) as `NAME.key` and `NAME.pem`,
    /// and returns what a server needs. Throws `TLSError.configuration`; files that were written stay.
    package func issue(_ name: String, for names: [String]) throws(TLSError) -> TLSServerConfiguration {
        let key = try unsafe Self.makeKey()
        defer { unsafe EVP_PKEY_free(key) }
        try unsafe self.write(name, of: key, names: names.joined(separator: ","), to: name + ".pem")
        try unsafe self.output(name + ".key") { unsafe PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) }
        return TLSServerConfiguration(
            certificateFile: "\(self.directory)/\(name).pem", privateKeyFile: "\(self.directory)/\(name).key")
    }

    private static func makeKey() throws(TLSError) -> OpaquePointer {
        let context = unsafe EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard unsafe EVP_PKEY_keygen_init(context) == 1, unsafe EVP_PKEY_keygen(context, &key) == 1,
            let made = unsafe key
        else { throw TLSSession.failure(.configuration, "OpenSSL could not make a key") }
        return unsafe made
    }

    /// Without `names` the certificate is the authority's own.
    private func write(_ subject: String, of key: OpaquePointer, names: String?, to file: String) throws(TLSError) {
        let certificate = unsafe X509_new()
        let issuer = unsafe X509_NAME_new()
        let (kind, value) = names.map { (NID_subject_alt_name, $0) } ?? (NID_basic_constraints, "critical,CA:TRUE")
        let addition = unsafe X509V3_EXT_conf_nid(nil, nil, kind, value)
        defer {
            unsafe X509_free(certificate)
            unsafe X509_NAME_free(issuer)
            unsafe X509_EXTENSION_free(addition)
        }
        guard unsafe certificate != nil, unsafe issuer != nil, unsafe addition != nil,
            unsafe X509_set_version(certificate, 2) == 1,
            unsafe ASN1_INTEGER_set(X509_get_serialNumber(certificate), .random(in: 1...1_000_000_000)) == 1,
            unsafe X509_gmtime_adj(X509_getm_notBefore(certificate), -Self.clockSkew) != nil,
            unsafe X509_gmtime_adj(X509_getm_notAfter(certificate), Self.lifetime) != nil,
            unsafe X509_set_pubkey(certificate, key) == 1,
            unsafe X509_NAME_add_entry_by_txt(
                X509_get_subject_name(certificate), "CN", Self.text, subject, -1, -1, 0) == 1,
            unsafe X509_NAME_add_entry_by_txt(issuer, "CN", Self.text, Self.name, -1, -1, 0) == 1,
            unsafe X509_set_issuer_name(certificate, issuer) == 1,
            unsafe X509_add_ext(certificate, addition, -1) == 1,
            unsafe X509_sign(certificate, self.key, nil) > 0
        else { throw TLSSession.failure(.configuration, "OpenSSL could not make the certificate of \(subject)") }
        try unsafe self.output(file) { unsafe PEM_write_bio_X509($0, certificate) }
    }

    /// Makes a file that only its owner may read.
    private func output(_ name: String, _ body: (OpaquePointer?) -> Int32) throws(TLSError) {
        let path = "\(self.directory)/\(name)"
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else {
            throw TLSError(
                code: .configuration, message: "\(path) cannot be written: \(unsafe String(cString: strerror(errno)))")
        }
        let sink = unsafe BIO_new_fd(file, BIO_CLOSE)
        let isWritten = unsafe body(sink) == 1
        _ = unsafe BIO_free(sink)
        guard isWritten else { throw TLSSession.failure(.configuration, "\(path) cannot be written") }
    }
}
