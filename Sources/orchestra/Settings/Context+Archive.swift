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
        let (path, next) = (self.archiveKeyPath, self.nextArchiveKeyPath)
        if !Host.exists(path) { try self.makeArchiveKey(path) }
        _ = try Self.archiveKey(path)
        return ArchiveConfiguration(
            directory: chain, key: try Self.archiveKey(path),
            nextKey: { Host.exists(next) ? try Self.archiveKey(next) : nil },
            keyChanged: {
                guard unsafe rename(next, path) == 0 else {
                    throw CommandError.configuration("\(next) cannot be renamed: \(Host.reason(errno))")
                }
            })
    }

    /// The key that signs the chain: not in the archive, because its copies go elsewhere.
    private var archiveKeyPath: String { self.stateDirectory + "/archive.key" }

    private var nextArchiveKeyPath: String { self.archiveKeyPath + ".next" }

    /// Makes the key that the node is to sign with from now on, and returns its fingerprint; the node takes it within
    /// seconds, or at its next start. Throws status 78 when it cannot be made, or one waits already.
    func makeNextArchiveKey() throws -> String {
        let next = self.nextArchiveKeyPath
        guard !Host.exists(next) else {
            throw CommandError.configuration("\(next) waits for the node already; expected none")
        }
        try self.makeArchiveKey(next)
        return try Self.archiveKey(next).fingerprint
    }

    private func makeArchiveKey(_ path: String) throws {
        try Host.writePrivate(path, Hexadecimal.text(of: try SigningKey.random().seed) + "\n")
    }

    private static func archiveKey(_ path: String) throws -> ChainKey {
        let text = try InputFile.text(try InputFile.read(path, limit: 256), of: path)
        guard let seed = Hexadecimal.bytes(of: text.trimmingCharacters(in: .whitespacesAndNewlines)), seed.count == 32
        else { throw CommandError.configuration("\(path) is malformed; expected 64 hexadecimal digits") }
        return try ChainKey(try SigningKey(seed: seed))
    }
}
