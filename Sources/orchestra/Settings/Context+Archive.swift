import AuditArchive
import CLinux
import Cryptography
import Domain
import Foundation
import Worker

/// The archive of the audit trail.
extension Context {
    /// The directory with the chains of the nodes that archive there; nil when the archive is off.
    var archiveDirectory: String? {
        guard let path = self.settings.text("audit.archive") else { return self.stateDirectory + "/archive" }
        guard path != "off" else { return nil }
        return path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    /// The directory of this node's chain; nil when the archive is off. Throws status 78 when the node has no valid name.
    func chainDirectory() throws -> String? {
        guard let archive = self.archiveDirectory else { return nil }
        return "\(archive)/\(try self.node().name)"
    }

    /// The archive of this node, whose directory and key are made when they do not exist; nil when it is off. Holds a lock
    /// on the chain for the life of the process. Throws status 78 when a file cannot be made or read, or another process has
    /// the lock.
    func archive() throws -> ArchiveConfiguration? {
        guard let chain = try self.chainDirectory(), let archive = self.archiveDirectory else { return nil }
        _ = try Host.privateDirectory(archive)
        try Host.lock("\(chain).lock", what: "node that archives there")
        return ArchiveConfiguration(directory: chain, key: try self.archiveKey())
    }

    /// The key that signs the chain: not in the archive, because its copies go elsewhere.
    private func archiveKey() throws -> ChainKey {
        let path = self.stateDirectory + "/archive.key"
        if !Host.exists(path) {
            try Host.writePrivate(path, Hexadecimal.text(of: try SigningKey.random().seed) + "\n")
        }
        let text = try InputFile.text(try InputFile.read(path, limit: 256), of: path)
        guard let seed = Hexadecimal.bytes(of: text.trimmingCharacters(in: .whitespacesAndNewlines)), seed.count == 32
        else { throw CommandError.configuration("\(path) is malformed; expected 64 hexadecimal digits") }
        return try ChainKey(try SigningKey(seed: seed))
    }
}
