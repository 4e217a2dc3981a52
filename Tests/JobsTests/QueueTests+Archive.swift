import Domain
import Redis
import TestSupport
import Testing

@testable import Jobs

/// What the archive reads of trails that a submitter wrote to.
extension QueueTests {
    /// Reads the trail of acme to its end, and notes what was read.
    private func archive(_ bench: Bench) async throws -> [TrailBatch.Entry] {
        let queue = try #require(bench.queue as? RedisStreamJobQueue)
        let identity = try bench.lease("n1", 1).identity
        let batch = try await queue.archive(["acme"], noting: [], most: 500, as: identity)
        let notes = batch.entries.map { TrailBatch.Note(trail: $0.trail, id: $0.id, count: 1) }
        _ = try await queue.archive([], noting: notes, most: 0, as: identity)
        return batch.entries
    }

    private static let trail = "orc:{l0}:w:acme:audit"

    @Test("entries are archived, and once, also when what was archived is trimmed")
    func archived() async throws {
        try await Self.withBench { bench in
            let acme = try WorkspaceID("acme")
            for number: UInt8 in 0..<3 { try await bench.queue.appendAudit([number], of: acme) }
            #expect(try await self.archive(bench).map(\.events) == [[[0]], [[1]], [[2]]])
            #expect(try await self.archive(bench).isEmpty)
            _ = try await bench.client.send(RedisCommand("XTRIM", Self.trail, "MAXLEN", "0"))
            #expect(try await self.archive(bench).isEmpty)
            try await bench.queue.appendAudit([3], of: acme)
            #expect(try await self.archive(bench).map(\.events) == [[[3]]])
        }
    }

    @Test(
        "an entry with a late ID, which is removed with its trail, hides no later event from the archive",
        arguments: [["DEL", QueueTests.trail], ["SET", QueueTests.trail, "x"]])
    func hiddenEvents(removal: [String]) async throws {
        try await Self.withBench { bench in
            let acme = try WorkspaceID("acme")
            _ = try await bench.client.send(RedisCommand("XADD", Self.trail, "9999999999999-7", "e", "late"))
            #expect(try await self.archive(bench).count == 1)
            var command = RedisCommand(removal[0])
            for word in removal.dropFirst() { command.append(word) }
            _ = try await bench.client.send(command)
            try await bench.queue.appendAudit([1], of: acme)
            // And once more, before the archive looks.
            _ = try await bench.client.send(RedisCommand("XADD", Self.trail, "9999999999999-8", "e", "later"))
            #expect(try await self.archive(bench).map(\.events) == [[[1]], [Array("later".utf8)]])
            #expect(try await self.archive(bench).isEmpty)
        }
    }

    /// Adds an entry to the trail of acme.
    private func add(_ events: [String], to bench: Bench) async throws {
        var command = RedisCommand("XADD")
        for word in [Self.trail, "*"] + events.flatMap({ ["e", $0] }) { command.append(word) }
        _ = try await bench.client.send(command)
    }

    @Test("an event of megabytes, and thousands of events in one entry, are archived as their size and digest")
    func oversized() async throws {
        try await Self.withBench { bench in
            let large = String(repeating: "x", count: 5 << 20)
            try await self.add(["before", large, "after"], to: bench)
            try await self.add([String](repeating: "y", count: 4002), to: bench)
            let entries = try await self.archive(bench).map { $0.events.map { String(decoding: $0, as: UTF8.self) } }
            let marker = try JSONParser.parse(Array(try #require(entries.first)[1].utf8))
            #expect(entries[0].count == 3 && entries[0][0] == "before" && entries[0][2] == "after")
            #expect(marker["oversized"]?.integer == 5 << 20 && marker["events"] == 1)
            #expect(marker["sha1"]?.string?.count == 40)
            #expect(entries.count == 2 && entries[1].count == 4001 && entries[1][3999] == "y")
            #expect(entries[1][4000].hasPrefix(#"{"oversized":2,"events":2,"#))
        }
    }

    @Test("a reply of the archive is bounded, whatever the entries are like, and the next goes on behind it")
    func boundedReply() async throws {
        try await Self.withBench { bench in
            let megabyte = String(repeating: "x", count: 1 << 20)
            for _ in 0..<40 { try await self.add([megabyte, megabyte], to: bench) }
            var sizes: [Int] = []
            while sizes.reduce(0, +) < 40 {
                sizes.append(try await self.archive(bench).count)
                try #require(sizes.last != 0)
            }
            #expect(sizes.allSatisfy { $0 <= 2 }, "\(sizes)")
        }
    }
}
