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
}
