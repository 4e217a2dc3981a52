import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs

/// Audit trail, bounds, unique keys and quarantine, for both implementations.
extension QueueConformanceTests {
    @Test(
        "the audit trail is read in pages, and each workspace reads only its own events",
        arguments: Implementation.allCases)
    func auditPages(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let (acme, other) = (try WorkspaceID("acme"), try WorkspaceID("other"))
            for number in 0..<40 {
                let workspace = number % 2 == 0 ? acme : other
                let event: JSONValue = ["workspace": .string(workspace.name), "n": .integer(Int64(number))]
                try await bench.queue.appendAudit(event.bytes, of: workspace)
            }
            try await bench.queue.appendAudit(Array(#"{"n":99}"#.utf8), of: nil)
            var (numbers, cursor): ([Int64], String?) = ([], nil)
            repeat {
                let page = try await bench.queue.auditTrail(of: acme, before: cursor, limit: 7)
                numbers += try page.events.compactMap { try JSONParser.parse($0)["n"]?.integer }
                cursor = page.next
            } while cursor != nil
            #expect(numbers == Array(stride(from: 38, through: 0, by: -2)))
        }
    }

    @Test(
        "a page of a workspace's trail is whole, whatever other workspaces wrote after it, and events of none are read apart",
        arguments: Implementation.allCases)
    func auditOfOne(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let (acme, other) = (try WorkspaceID("acme"), try WorkspaceID("other"))
            for number in 0..<3 { try await bench.queue.appendAudit([UInt8(number)], of: acme) }
            try await bench.queue.appendAudit([9], of: nil)
            for _ in 0..<6000 { try await bench.queue.appendAudit([7], of: other) }
            _ = try await bench.client?.send(RedisCommand("CONFIG", "RESETSTAT"))
            let page = try await bench.queue.auditTrail(of: acme, before: nil, limit: 50)
            #expect(page == AuditPage(events: [[2], [1], [0]], next: nil))
            if let client = bench.client {
                // One entry for each event, and one look past the last.
                let statistics = try await client.send(RedisCommand("INFO", "commandstats")).string ?? ""
                #expect(statistics.contains("cmdstat_xrevrange:calls=4,"))
            }
            #expect(try await bench.queue.auditTrail(of: nil, before: nil, limit: 50).events == [[9]])
        }
    }

    @Test(
        "no event is lost, and no step ends half way, when a client has put another type in the place of a trail or counter",
        arguments: [
            (["SET", "orc:{l0}:w:acme:audit", "x"], true), (["SET", "orc:{l0}:counts", "x"], true),
            (["XADD", "orc:{l0}:w:acme:audit", "18446744073709551615-18446744073709551615", "e", "x"], false),
        ])
    func replacedTrail(words: [String], isMended: Bool) async throws {
        try await QueueBench.with(.redis) { bench in
            let client = try #require(bench.client)
            var command = RedisCommand(words[0])
            for word in words.dropFirst() { command.append(word) }
            let replacement = command
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            _ = try await client.send(replacement)
            let job = try await bench.accept(try bench.submission())
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(try await lease.finish([bench.completion(delivery)]) == [true])
            #expect(try await bench.state(job) == .completed)
            // A trail with the last possible ID is left as it is; its events are in the lane's.
            let place = isMended ? try WorkspaceID("acme") : nil
            let events = try await bench.queue.auditTrail(of: place, before: nil, limit: 9).events
            #expect(events.map { String(decoding: $0, as: UTF8.self) } == ["outcome completed", "submitted"])
            #expect(try await bench.queue.compare(as: lease.identity).auditEntries == 2)
        }
    }

    @Test("an event that belongs to no step is refused when no trail takes it")
    func noTrail() async throws {
        try await QueueBench.with(.redis) { bench in
            _ = try await bench.client?.send(RedisCommand("SET", "orc:{l0}:audit", "x"))
            await #expect(throws: JobQueueError.self) { try await bench.queue.appendAudit([1], of: nil) }
            try await bench.queue.appendAudit([1], of: try WorkspaceID("acme"))
        }
    }

    @Test("all events of one step are read, wherever a page ends", arguments: Implementation.allCases)
    func auditBatches(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let workspaces = [try WorkspaceID("acme"), try WorkspaceID("other")]
            for batch in 0..<3 {
                let submissions = try (0..<6).map { number in
                    let workspace = workspaces[number % 2]
                    let event: JSONValue = [
                        "workspace": .string(workspace.name), "n": .integer(Int64(batch * 6 + number)),
                    ]
                    return Submission(job: try bench.submission(workspace.name).job, auditEvent: event.bytes)
                }
                _ = try await bench.queue.submit(submissions, keys: bench.keys)
            }
            for limit in 1...7 {
                var (numbers, cursor): ([Int64], String?) = ([], nil)
                repeat {
                    let page = try await bench.queue.auditTrail(of: workspaces[0], before: cursor, limit: limit)
                    numbers += try page.events.compactMap { try JSONParser.parse($0)["n"]?.integer }
                    cursor = page.next
                } while cursor != nil
                #expect(numbers == [16, 14, 12, 10, 8, 6, 4, 2, 0], "pages of \(limit)")
            }
        }
    }

    @Test("delayed jobs are bounded as waiting entries are", arguments: Implementation.allCases)
    func delayedBound(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation, limits: QueueLimits(streamLength: 3)) { bench in
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            func later() throws -> Submission { try bench.submission(start: .after(.seconds(60))) }
            for _ in 0..<3 { try await bench.accept(try later()) }
            #expect(try await bench.submit(try later()) == .full)
            #expect(try await bench.submit(try bench.submission("other", start: .after(.seconds(60)))).isAccepted)
            try await bench.accept(try bench.submission())
            try await bench.advance(.seconds(61))
            #expect(try await bench.queue.moveDue(most: 2) == 2)
            #expect(try await bench.queue.moveDue(most: 9) == 2)
            // The jobs are available now, and count as entries.
            #expect(try await bench.submit(try bench.submission()) == .full)
            for delivery in try await lease.claim(ClaimRequest(most: 9)).deliveries {
                _ = try await lease.finish([bench.completion(delivery)])
            }
            for _ in 0..<3 { try await bench.accept(try later()) }
            #expect(try await bench.submit(try later()) == .full)
        }
    }

    @Test(
        "a requeued job takes its unique key again, unless another job has it",
        arguments: Implementation.allCases)
    func uniqueAgain(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let workspace = try WorkspaceID("acme")
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            func end(_ job: JobID, _ end: Completion.End) async throws {
                let delivery = try #require(
                    try await lease.claim(ClaimRequest(most: 9)).deliveries.first { $0.jobID == job })
                #expect(try await lease.finish([bench.completion(delivery, end)]) == [true])
            }
            let first = try await bench.accept(try bench.submission(unique: "report"))
            try await end(first, .discarded)
            let second = try await bench.accept(try bench.submission(unique: "report"))
            #expect(try await bench.queue.requeue(first, in: workspace, auditEvent: []) == .isTaken)
            #expect(try await bench.state(first) == .discarded)
            try await end(second, .completed)
            #expect(try await bench.queue.requeue(first, in: workspace, auditEvent: []) == .done)
            #expect(
                try await bench.submit(try bench.submission(unique: "report")) == .notUnique(first, state: .available))
            try await end(first, .completed)
            try await bench.accept(try bench.submission(unique: "report"))
        }
    }

    @Test(
        "a node that joins receives nothing of a workspace in quarantine; the jobs are requeued",
        arguments: Implementation.allCases)
    func quarantinedJoin(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let workspace = try WorkspaceID("acme")
            let before = try bench.lease("n1", 1)
            _ = try await before.join()
            let job = try await bench.accept(try bench.submission())
            let other = try await bench.accept(try bench.submission("other"))
            #expect(try await before.claim(ClaimRequest(most: 9)).deliveries.count == 2)
            _ = try await bench.queue.quarantine(workspace, reason: "seen", auditEvent: [])
            let after = try bench.lease("n1", 2)
            #expect(try await after.join().map(\.jobID) == [other])
            #expect(try await after.claim(ClaimRequest(most: 9)).deliveries.isEmpty)
            _ = try await bench.queue.quarantine(workspace, reason: nil, auditEvent: [])
            let delivery = try #require(try await after.claim(ClaimRequest(most: 9)).deliveries.first)
            #expect(delivery.jobID == job && delivery.crashes == 1)
            #expect(try await after.finish([bench.completion(delivery)]) == [true])
        }
    }
}

extension SubmissionResult {
    fileprivate var isAccepted: Bool { if case .accepted = self { true } else { false } }
}
