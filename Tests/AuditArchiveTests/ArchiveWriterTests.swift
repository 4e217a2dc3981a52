import AuditArchive
import Domain
import Foundation
import TestSupport
import Testing

@Suite("ArchiveWriter")
struct ArchiveWriterTests {
    private func open(_ archive: String, key: UInt8 = 1) throws -> ArchiveWriter {
        try ArchiveWriter.open(archive, node: "n1", key: Chains.key(key), limits: Chains.small, at: 5000)
    }

    @Test("an archive is continued where it ended")
    func continued() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            for number in 0..<8 {
                var writer = try self.open(archive)
                #expect(writer.repairs.isEmpty)
                #expect(try writer.append([Chains.event(number)], at: 5000) == 1)
            }
            #expect(try Chains.notes(archive) == (0..<8).map(String.init))
            let report = try #require(try Chains.report(archive))
            #expect(report.events == 8 && report.unsignedRows == 0 && report.segments > 1)
            let modes = try FileManager.default.attributesOfItem(atPath: archive)[.posixPermissions] as? Int
            #expect(modes == 0o700)
            for name in try Chains.segments(archive) + ["head.json"] {
                let mode = try FileManager.default.attributesOfItem(atPath: "\(archive)/\(name)")[.posixPermissions]
                #expect(mode as? Int == 0o600)
            }
        }
    }

    @Test("an event that the archive has is not appended again")
    func repeated() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            var writer = try self.open(archive)
            _ = try writer.append([Chains.event(0), Chains.event(1)], at: 5000)
            writer = try self.open(archive)
            #expect(try writer.append([Chains.event(0), Chains.event(1), Chains.event(2)], at: 5000) == 1)
            #expect(try Chains.notes(archive) == ["0", "1", "2"])
        }
    }

    @Test("a head that is gone, and a segment with a number that cannot be, are damage; nothing is changed by it")
    func lostHead() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            var writer = try self.open(archive)
            _ = try writer.append([Chains.event(0)], at: 5000)
            let rows = try Chains.bytes(archive + "/00000001.jsonl")
            let far = "\(archive)/\(Int.max).jsonl"
            #expect(FileManager.default.createFile(atPath: far, contents: nil))
            #expect(throws: ArchiveError.self) { try self.open(archive) }
            try FileManager.default.removeItem(atPath: far)
            try FileManager.default.removeItem(atPath: archive + "/head.json")
            #expect(throws: ArchiveError.self) { try self.open(archive) }
            #expect(try Chains.bytes(archive + "/00000001.jsonl") == rows)
        }
    }

    @Test("after a crash at any byte of a step nothing that was acknowledged is lost, and nothing is doubled")
    func crashes() async throws {
        try await withDirectory { directory in
            let (archive, copy) = (directory + "/n1", directory + "/copy")
            var number = 0
            for _ in 0..<3 {
                var writer = try self.open(archive)
                _ = try writer.append([Chains.event(number)], at: 5000)
                let before = try Chains.bytes(archive + "/head.json")
                let old = Dictionary(
                    uniqueKeysWithValues: try Chains.segments(archive).map {
                        ($0, try Chains.bytes("\(archive)/\($0)"))
                    })
                let step = [Chains.event(number + 1), Chains.event(number + 2)]
                _ = try writer.append(step, at: 5000)
                let name = try #require(try Chains.segments(archive).last)
                let whole = try Chains.bytes("\(archive)/\(name)")
                for size in (old[name]?.count ?? 0)...whole.count {
                    for head in [before, try Chains.bytes(archive + "/head.json")] {
                        // The head is replaced only after all rows are on disk.
                        if head != before, size < whole.count { continue }
                        try Chains.copy(archive, copy)
                        try Chains.put(Array(whole[..<size]), "\(copy)/\(name)")
                        try Chains.put(head, copy + "/head.json")
                        var again = try self.open(copy)
                        _ = try again.append(step, at: 5000)
                        _ = try again.append([Chains.event(1000)], at: 5000)
                        let expected = (0...(number + 2)).map(String.init) + ["1000"]
                        #expect(try Chains.notes(copy) == expected, "size \(size)")
                        #expect(try Chains.finding(copy) == nil, "size \(size)")
                    }
                }
                number += 3
            }
        }
    }

    /// Rows that fit, and that no head signs: a crash leaves them, or somebody who has no key adds them.
    private func addUnsigned(_ count: Int, to archive: String) throws {
        let head = try Chains.bytes(archive + "/head.json")
        var writer = try self.open(archive)
        for number in 0..<count { _ = try writer.append([Chains.event(100 + number)], at: 5000) }
        try Chains.put(head, archive + "/head.json")
    }

    @Test("rows behind the head are reported, and neither kept nor signed at the next start")
    func unsignedTail() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            // The row is in the head's segment, and then in the one after it.
            for number in 0..<12 {
                var writer = try self.open(archive)
                _ = try writer.append([Chains.event(number)], at: 5000)
                try self.addUnsigned(1, to: archive)
                #expect(try #require(try Chains.report(archive)).unsignedRows > 0)
                writer = try self.open(archive)
                #expect(writer.repairs.count == 1)
                #expect(try Chains.notes(archive) == (0...number).map(String.init))
                #expect(try Chains.report(archive)?.unsignedRows == 0)
            }
            #expect(try Chains.segments(archive).count > 1)
        }
    }

    @Test("more behind the head than a crash leaves is a finding, and is not continued")
    func addedRows() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            try Chains.write(3, to: archive)
            try self.addUnsigned(12, to: archive)
            let before = try Chains.notes(archive)
            #expect(try Chains.finding(archive)?.reason.contains("rows were added") == true)
            #expect(throws: ArchiveError.self) { try self.open(archive) }
            #expect(try Chains.notes(archive) == before)
        }
    }

    @Test("a chain that a node goes on writing to is verified as it was when the verification began")
    func growing() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            var writer = try self.open(archive)
            for number in 0..<12 {
                let verification = try #require(try ArchiveVerification(of: archive))
                for step in 0..<3 { _ = try writer.append([Chains.event(3 * number + step)], at: 5000) }
                let (report, _) = try verification.run()
                #expect(report.events == 3 * number && report.unsignedRows == 0 && !report.endsIncomplete)
            }
            #expect(try Chains.segments(archive).count > 6)
        }
    }

    @Test("what follows the head and is not whole is cut, and named")
    func repairs() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            try Chains.write(3, to: archive)
            let name = try #require(try Chains.segments(archive).last)
            let whole = try Chains.bytes("\(archive)/\(name)")
            try Chains.put(whole + Array("{\"seq\":9,\"pr".utf8), "\(archive)/\(name)")
            #expect(try Chains.report(archive)?.endsIncomplete == true)
            let writer = try self.open(archive)
            #expect(writer.repairs.count == 1 && writer.repairs[0].contains(name))
            #expect(try Chains.bytes("\(archive)/\(name)") == whole)
        }
    }

    @Test("a chain that does not lead to its head is not continued, and not changed")
    func damaged() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            try Chains.write(3, to: archive)
            let name = try #require(try Chains.segments(archive).last)
            let whole = try Chains.bytes("\(archive)/\(name)")
            for size in 0..<whole.count {
                try Chains.put(Array(whole[..<size]), "\(archive)/\(name)")
                #expect(throws: ArchiveError.self, "size \(size)") { try self.open(archive) }
                #expect(try Chains.bytes("\(archive)/\(name)").count == size)
            }
        }
    }

    @Test("an event that would make a row too long to be read is refused, and others are archived")
    func longEvents() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            var writer = try self.open(archive)
            let long = ArchivedEvent(
                lane: 0, trail: "", id: "1-1", number: 0, bytes: [UInt8](repeating: 0, count: 32 << 20))
            #expect(throws: ArchiveError.self) { try writer.append([Chains.event(0), long], at: 5000) }
            #expect(try writer.append([Chains.event(1)], at: 5000) == 1)
            #expect(try Chains.notes(archive) == ["1"])
        }
    }

    @Test("an archive of another key is not continued")
    func otherKey() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            try Chains.write(3, to: archive)
            let error = #expect(throws: ArchiveError.self) { try self.open(archive, key: 2) }
            #expect(error?.code == .wrongKey)
        }
    }

    @Test(
        "a step whose head may be lost with the power is not reported as stored, and what is on disk leads to its head",
        .enabled(if: !isRoot, "root may list every directory"))
    func unsyncedHead() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            func mode(_ mode: Int) throws {
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: archive)
            }
            var writer = try self.open(archive)
            // Files can be replaced in a directory that cannot be listed, but not brought to disk.
            try mode(0o300)
            let error = #expect(throws: ArchiveError.self) { try writer.append([Chains.event(0)], at: 5000) }
            #expect(error?.code == .storage)
            try mode(0o700)
            writer = try self.open(archive)
            #expect(writer.repairs.isEmpty)
            #expect(try writer.append([Chains.event(0), Chains.event(1)], at: 5000) == 1)
            #expect(try Chains.notes(archive) == ["0", "1"])
            #expect(try Chains.finding(archive) == nil)
        }
    }

    @Test("a segment that something else wrote to gets no more rows")
    func foreignWriter() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            var writer = try self.open(archive)
            let path = "\(archive)/\(try #require(try Chains.segments(archive).last))"
            let foreign = try Chains.bytes(path) + [0x20]
            try Chains.put(foreign, path)
            let error = #expect(throws: ArchiveError.self) { try writer.append([Chains.event(0)], at: 5000) }
            #expect(error?.code == .damaged)
            #expect(try Chains.bytes(path) == foreign)
        }
    }

    @Test("a key change survives the next start, and the older key signs no more")
    func rotation() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            var writer = try self.open(archive)
            _ = try writer.append([Chains.event(0)], at: 5000)
            try writer.change(to: Chains.key(2), at: 5000)
            _ = try writer.append([Chains.event(1)], at: 5000)
            #expect(throws: ArchiveError.self) { try self.open(archive) }
            writer = try self.open(archive, key: 2)
            _ = try writer.append([Chains.event(2)], at: 5000)
            let report = try #require(try Chains.report(archive))
            #expect(report.keys == [try Chains.key(1).fingerprint, try Chains.key(2).fingerprint])
            #expect(try Chains.finding(archive, key: Chains.key(1).fingerprint) == nil)
        }
    }
}
