import COpenSSL
import Foundation

/// Certificates and keys made in this process, in a directory that is removed with the value.
@safe
final class TestCertificates {
    let directory: String
    private let authority: OpaquePointer
    private let authorityName = "test authority"

    /// An authority, and a server's and a client's certificate for `localhost` and 127.0.0.1.
    init() throws {
        self.directory = NSTemporaryDirectory() + "orchestra-tls-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
        unsafe self.authority = try unsafe Self.key()
        try unsafe self.write(self.authorityName, subject: self.authority, isAuthority: true, to: "ca")
        try self.issue("server")
        try self.issue("client")
    }

    deinit {
        unsafe EVP_PKEY_free(self.authority)
        do { try FileManager.default.removeItem(atPath: self.directory) } catch {
            print("the directory \(self.directory) was not removed: \(error)")
        }
    }

    func path(_ name: String) -> String { "\(self.directory)/\(name)" }

    /// A new key and certificate in the files `NAME.pem` and `NAME.key`.
    func issue(_ name: String) throws {
        let key = try unsafe Self.key()
        defer { unsafe EVP_PKEY_free(key) }
        try unsafe self.write(name, subject: key, isAuthority: false, to: name)
    }

    private static func key() throws -> OpaquePointer {
        let context = unsafe EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard unsafe EVP_PKEY_keygen_init(context) == 1, unsafe EVP_PKEY_keygen(context, &key) == 1,
            let made = unsafe key
        else { throw CocoaError(.featureUnsupported) }
        return unsafe made
    }

    private func write(_ name: String, subject: OpaquePointer, isAuthority: Bool, to file: String) throws {
        let certificate = unsafe X509_new()
        defer { unsafe X509_free(certificate) }
        unsafe X509_set_version(certificate, 2)
        unsafe ASN1_INTEGER_set(X509_get_serialNumber(certificate), Int.random(in: 1...1_000_000))
        unsafe X509_gmtime_adj(X509_getm_notBefore(certificate), -3600)
        unsafe X509_gmtime_adj(X509_getm_notAfter(certificate), 3600)
        unsafe X509_set_pubkey(certificate, subject)
        unsafe X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", 0x1001, name, -1, -1, 0)
        let issuer = unsafe X509_NAME_new()
        defer { unsafe X509_NAME_free(issuer) }
        unsafe X509_NAME_add_entry_by_txt(issuer, "CN", 0x1001, self.authorityName, -1, -1, 0)
        unsafe X509_set_issuer_name(certificate, issuer)
        let (kind, value) =
            isAuthority
            ? (NID_basic_constraints, "critical,CA:TRUE") : (NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1")
        let addition = unsafe X509V3_EXT_conf_nid(nil, nil, kind, value)
        unsafe X509_add_ext(certificate, addition, -1)
        unsafe X509_EXTENSION_free(addition)
        guard unsafe X509_sign(certificate, self.authority, nil) > 0 else { throw CocoaError(.featureUnsupported) }
        try unsafe self.output(file + ".pem") { unsafe PEM_write_bio_X509($0, certificate) }
        try unsafe self.output(file + ".key") { unsafe PEM_write_bio_PrivateKey($0, subject, nil, nil, 0, nil, nil) }
    }

    private func output(_ name: String, _ body: (OpaquePointer?) -> Int32) throws {
        let file = unsafe BIO_new_file(self.path(name), "w")
        let isWritten = unsafe body(file) == 1
        unsafe BIO_free(file)
        guard isWritten else { throw CocoaError(.fileWriteUnknown) }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: self.path(name))
    }
}
