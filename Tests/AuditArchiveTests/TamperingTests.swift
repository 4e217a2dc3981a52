import Domain
import Foundation
import TestSupport
import Testing

@testable import AuditArchive

@Suite("An archive that was tampered with")
struct TamperingTests {
    /// Damages a copy and returns what is found.
    private func finding(
        _ archive: String, anchors: [ArchiveHead] = [], _ damage: (String) throws -> Void
    ) throws -> ArchiveFinding? {
        let copy = archive + "-copy"
        try Chains.copy(archive, copy)
        try damage(copy)
        return try Chains.finding(copy, anchors: anchors)
    }

    private func withArchive(_ body: (String) async throws -> Void) async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            try Chains.write(5, to: archive)
            #expect(try Chains.segments(archive).count > 1)
            #expect(try Chains.finding(archive) == nil)
            try await body(archive)
        }
    }

    @Test("each byte that was changed is found, in its segment, at its row or the next")
    func flips() async throws {
        try await self.withArchive { archive in
            for name in try Chains.segments(archive) {
                let original = try Chains.bytes("\(archive)/\(name)")
                var row = 1
                for index in original.indices {
                    let mask: UInt8 = [1, 0x80, 0x20][index % 3]
                    var bytes = original
                    bytes[index] ^= mask
                    try Chains.put(bytes, "\(archive)/\(name)")
                    let finding = try Chains.finding(archive)
                    let isNamed = finding?.file == name && (finding?.row == row || finding?.row == row + 1)
                    if !isNamed { Issue.record("byte \(index) of \(name), row \(row): \(String(describing: finding))") }
                    if original[index] == 0x0a { row += 1 }
                }
                try Chains.put(original, "\(archive)/\(name)")
            }
        }
    }

    @Test("a changed letter inside an event is found at exactly its row")
    func letters() async throws {
        try await self.withArchive { archive in
            for name in try Chains.segments(archive) {
                let original = try Chains.bytes("\(archive)/\(name)")
                let text = String(decoding: original, as: UTF8.self)
                for range in text.ranges(of: "api.request") {
                    let changed = text.replacingCharacters(in: range, with: "api.reques_")
                    let row = 1 + text[..<range.lowerBound].utf8.count { $0 == 0x0a }
                    let finding = try self.finding(archive) { try Chains.put(Array(changed.utf8), "\($0)/\(name)") }
                    #expect(finding?.file == name && finding?.row == row, "\(String(describing: finding))")
                }
            }
        }
    }

    @Test("each byte of the head that was changed is found")
    func head() async throws {
        try await self.withArchive { archive in
            let original = try Chains.bytes(archive + "/head.json")
            for index in original.indices.dropLast() {
                var bytes = original
                bytes[index] ^= 1
                let finding = try self.finding(archive) { try Chains.put(bytes, $0 + "/head.json") }
                #expect(finding?.file == "head.json", "byte \(index): \(String(describing: finding))")
            }
            let removed = try self.finding(archive) { try FileManager.default.removeItem(atPath: $0 + "/head.json") }
            #expect(removed?.file == "head.json")
        }
    }

    @Test("a cut at each byte is found")
    func cuts() async throws {
        try await self.withArchive { archive in
            for name in try Chains.segments(archive) {
                let original = try Chains.bytes("\(archive)/\(name)")
                for size in original.indices {
                    try Chains.put(Array(original[..<size]), "\(archive)/\(name)")
                    if try Chains.finding(archive) == nil { Issue.record("\(name) cut to \(size) bytes") }
                }
                try Chains.put(original, "\(archive)/\(name)")
            }
        }
    }

    @Test("a removed, exchanged or added segment is found by its name")
    func segments() async throws {
        try await self.withArchive { archive in
            let names = try Chains.segments(archive)
            for name in names.dropLast() {
                let found = try self.finding(archive) { try FileManager.default.removeItem(atPath: "\($0)/\(name)") }
                #expect(found == ArchiveFinding(file: name, reason: "the segment is missing"))
            }
            let last = try #require(names.last)
            #expect(try self.finding(archive) { try FileManager.default.removeItem(atPath: "\($0)/\(last)") } != nil)
            let exchanged = try self.finding(archive) { copy in
                let (one, two) = (try Chains.bytes("\(copy)/\(names[0])"), try Chains.bytes("\(copy)/\(names[1])"))
                try Chains.put(two, "\(copy)/\(names[0])")
                try Chains.put(one, "\(copy)/\(names[1])")
            }
            #expect(exchanged?.file == names[0] && exchanged?.row == 1)
            let added = try self.finding(archive) { try Chains.put([], $0 + "/9.jsonl") }
            #expect(added?.file == "9.jsonl")
        }
    }

    @Test("a shortened archive with an older head holds by itself, and fails against an anchor that was kept elsewhere")
    func tail() async throws {
        try await withDirectory { directory in
            let (old, new) = (directory + "/old", directory + "/new")
            try Chains.write(3, to: new)
            try Chains.copy(new, old)
            try Chains.write(9, to: new)
            let anchor = try #require(try ArchiveVerification.head(of: new))
            #expect(try Chains.finding(old) == nil)
            #expect(try Chains.finding(new, anchors: [anchor]) == nil)
            #expect(try Chains.finding(old, anchors: [anchor])?.reason.contains("its end was removed") == true)
            // The old anchor holds for what grew from it.
            let first = try #require(try ArchiveVerification.head(of: old))
            #expect(try Chains.finding(new, anchors: [first]) == nil)
        }
    }

    @Test("a fork is found against an anchor of the other branch")
    func fork() async throws {
        try await withDirectory { directory in
            let (one, two) = (directory + "/one", directory + "/two")
            try Chains.write(4, to: one)
            try Chains.copy(one, two)
            var writer = try ArchiveWriter.open(one, node: "n1", key: Chains.key(1), limits: Chains.small, at: 1)
            _ = try writer.append([Chains.event(100)], at: 1)
            writer = try ArchiveWriter.open(two, node: "n1", key: Chains.key(1), limits: Chains.small, at: 1)
            _ = try writer.append([Chains.event(200)], at: 1)
            let anchor = try #require(try ArchiveVerification.head(of: two))
            #expect(try Chains.finding(two, anchors: [anchor]) == nil)
            #expect(try Chains.finding(one, anchors: [anchor])?.reason.contains("forked") == true)
        }
    }

    @Test("a key that was replaced signs no head and no anchor of a later row")
    func retiredKey() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            try Chains.write(3, to: archive)
            let earlier = try #require(try ArchiveVerification.head(of: archive))
            var writer = try ArchiveWriter.open(archive, node: "n1", key: Chains.key(1), limits: Chains.small, at: 1)
            try writer.change(to: Chains.key(2), at: 1)
            _ = try writer.append([Chains.event(3)], at: 1)
            let head = try #require(try ArchiveVerification.head(of: archive))
            #expect(try Chains.finding(archive, anchors: [earlier, head]) == nil)
            let forged = try ArchiveHead(
                node: "n1", origin: head.origin, segment: head.segment, sequence: head.sequence, digest: head.digest,
                time: 1, key: Chains.key(1))
            #expect(try Chains.finding(archive, anchors: [forged])?.reason.contains("does not hold") == true)
            let found = try self.finding(archive) { try Chains.put(forged.line, $0 + "/head.json") }
            #expect(found?.file == "head.json" && found?.reason.contains("does not hold") == true)
        }
    }

    @Test("the key can be demanded by its fingerprint")
    func demandedKey() async throws {
        try await self.withArchive { archive in
            let (own, other) = (try Chains.key(1).fingerprint, try Chains.key(2).fingerprint)
            #expect(try Chains.finding(archive, key: own) == nil)
            #expect(try Chains.finding(archive, key: other) != nil)
        }
    }
}
