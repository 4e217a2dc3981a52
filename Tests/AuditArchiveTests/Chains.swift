import AuditArchive
import Cryptography
import Domain
import Foundation

/// Small archives for tests.
enum Chains {
    static func key(_ number: UInt8) throws -> ChainKey {
        try ChainKey(try SigningKey(seed: [UInt8](repeating: number, count: 32)))
    }

    static func event(_ number: Int) -> ArchivedEvent {
        ArchivedEvent(
            lane: 0, trail: number % 3 == 0 ? "" : "acme",
            id: "1700000000000-\(number)", number: 0,
            bytes: Array(#"{"v":1,"kind":"api.request","note":"\#(number)"}"#.utf8))
    }

    /// Segments of a few rows each.
    static var small: ChainMachine.Limits {
        var limits = ChainMachine.Limits()
        limits.segmentBytes = 1500
        limits.checkpointRows = 4
        return limits
    }

    /// Writes an archive of `count` events in steps of two, and a last checkpoint.
    static func write(_ count: Int, to directory: String, limits: ChainMachine.Limits = small) throws {
        var writer = try ArchiveWriter.open(directory, node: "n1", key: self.key(1), limits: limits, at: 1000)
        for number in stride(from: 0, to: count, by: 2) {
            _ = try writer.append((number..<min(number + 2, count)).map(self.event), at: 2000)
        }
        try writer.seal(at: 3000, always: true)
    }

    /// What verification finds; nil when everything holds.
    static func finding(
        _ directory: String, anchors: [ArchiveHead] = [], key: String? = nil
    ) throws -> ArchiveFinding? {
        guard let verification = try ArchiveVerification(of: directory) else {
            return ArchiveFinding(file: "", reason: "there is no archive")
        }
        do {
            _ = try verification.run(anchors: anchors, key: key)
            return nil
        } catch let finding as ArchiveFinding {
            return finding
        }
    }

    static func report(_ directory: String) throws -> ArchiveReport? {
        try ArchiveVerification(of: directory)?.run().0
    }

    /// The places of all events, in the order of the archive.
    static func notes(_ directory: String) throws -> [String] {
        try self.segments(directory).flatMap { name in
            try self.bytes("\(directory)/\(name)").split(separator: 0x0a).compactMap {
                JSONValue(ifValid: Array($0))?["event"]?["note"]?.string
            }
        }
    }

    static func segments(_ directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".jsonl") }.sorted()
    }

    static func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

    static func put(_ bytes: [UInt8], _ path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    /// Copies an archive, so that it can be damaged.
    static func copy(_ from: String, _ to: String) throws {
        try? FileManager.default.removeItem(atPath: to)
        try FileManager.default.copyItem(atPath: from, toPath: to)
    }
}
