import Foundation
import TransportSecurity

/// Certificates and keys made in this process, in a directory that is removed with the value.
final class TestCertificates {
    let directory: String
    private let authority: TemporaryAuthority

    /// An authority, and a server's and a client's certificate for `localhost` and 127.0.0.1.
    init() throws {
        self.directory = NSTemporaryDirectory() + "orchestra-tls-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
        self.authority = try TemporaryAuthority(directory: self.directory)
        try self.issue("server")
        try self.issue("client")
    }

    deinit {
        do { try FileManager.default.removeItem(atPath: self.directory) } catch {
            print("the directory \(self.directory) was not removed: \(error)")
        }
    }

    func path(_ name: String) -> String { "\(self.directory)/\(name)" }

    /// A new key and certificate in the files `NAME.pem` and `NAME.key`.
    func issue(_ name: String) throws {
        _ = try self.authority.issue(name, for: ["DNS:localhost", "IP:127.0.0.1"])
    }
}
