import AuditArchive
import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

@Suite("The archive of the audit trail", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct ArchiveTests {
    /// The places of all events that a chain has, in its order.
    private static func places(_ chain: String) throws -> [String] {
        let files = try FileManager.default.contentsOfDirectory(atPath: chain).filter { $0.hasSuffix(".jsonl") }
            .sorted()
        return try files.flatMap { file in
            try Data(contentsOf: URL(fileURLWithPath: "\(chain)/\(file)")).split(separator: 0x0a).compactMap { line in
                let row = try JSONParser.parse(Array(line))
                guard row["kind"] == "event", let trail = row["trail"]?.string, let id = row["id"]?.string,
                    let number = row["n"]?.integer
                else { return nil }
                return "\(trail)/\(id)/\(number)"
            }
        }
    }

    /// The places of all events that Redis has.
    private static func expected(_ installation: Installation) async throws -> Set<String> {
        var places: Set<String> = []
        for key in try await installation.client.auditTrails() {
            let trail = key.hasPrefix("orc:{l0}:w:") ? String(key.dropFirst(11).dropLast(6)) : ""
            let reply = try await installation.client.send(RedisCommand("XRANGE", key, "-", "+"))
            for entry in reply.elements {
                let id = try #require(entry.elements.first?.string)
                for number in 0..<entry.elements[1].elements.count / 2 { places.insert("\(trail)/\(id)/\(number)") }
            }
        }
        return places
    }

    private static func isWhole(_ installation: Installation, _ node: String) async throws -> Bool {
        let chain = "\(installation.directory)/\(node)/archive/\(node)"
        guard FileManager.default.fileExists(atPath: chain + "/head.json") else { return false }
        return try Set(Self.places(chain)) == (try await Self.expected(installation))
    }

    @Test("a node that is killed again and again archives each event exactly once, and its archive holds")
    func killed() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            let chain = "\(installation.directory)/n1/archive/n1"
            for round in 0..<6 {
                try await installation.start(node)
                for number in 0..<40 {
                    _ = try await installation.submit(
                        "queue.noop", ["note": .string("\(round) \(number)")],
                        workspace: number % 4 == 0 ? "other" : "acme")
                }
                // Between the first events of this round on disk and the last.
                let before = FileManager.default.fileExists(atPath: chain) ? try Self.places(chain).count : 0
                if round < 5 {
                    try await eventually("the archive grows") {
                        guard FileManager.default.fileExists(atPath: chain) else { return false }
                        return try Self.places(chain).count > before
                    }
                    await node.kill9()
                }
            }
            try await eventually("all jobs have an outcome") {
                try await installation.auditCounts("job.outcome").count == 240
            }
            try await eventually("all events are archived") { try await Self.isWhole(installation, "n1") }
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
            let places = try Self.places(chain)
            #expect(places.count == Set(places).count)
            let verified = try await runProgram(
                buildDirectory + "/orchestra", ["audit", "verify", installation.directory + "/n1/archive", "--json"])
            #expect(verified.code == 0, "\(verified.output)\(verified.errors)")
            let report = try JSONParser.parse(Array(verified.output.utf8.dropLast()))
            #expect(report["ok"] == true && report["events"]?.integer == Int64(places.count))
            #expect(report["unsigned_rows"] == 0)
        }
    }

    @Test("two nodes share the work: one archives, and when it stops the other goes on, without a gap or a repetition")
    func handOver() async throws {
        try await Installation.with { installation in
            let nodes = ["n1", "n2"].map { installation.node($0, change: Installation.sharing) }
            for node in nodes { try await installation.start(node) }
            for _ in 0..<20 { _ = try await installation.submit("queue.noop", ["note": "first"]) }
            func chains() -> [String] {
                ["n1", "n2"].map { "\(installation.directory)/\($0)/archive/\($0)" }
                    .filter { FileManager.default.fileExists(atPath: $0 + "/head.json") }
            }
            func isWhole() async throws -> Bool {
                let expected = try await Self.expected(installation)
                return try chains().flatMap(Self.places).count == expected.count && expected.count >= 40
            }
            try await eventually("one node archives the events") { try await isWhole() }
            #expect(chains().count == 1)
            let first = try #require(chains().first)
            let index = first.hasSuffix("n1") ? 0 : 1
            await nodes[index].signal(SIGTERM)
            #expect(try await nodes[index].wait().code == 0)
            for _ in 0..<20 { _ = try await installation.submit("queue.noop", ["note": "second"]) }
            try await eventually("the jobs have an outcome") {
                try await installation.auditCounts("job.outcome").count == 40
            }
            try await eventually("the other node archives the rest") { try await isWhole() }
            let all = try chains().flatMap(Self.places)
            #expect(chains().count == 2 && Set(all).count == all.count)
            #expect(Set(all) == (try await Self.expected(installation)))
            for chain in chains() {
                #expect(try await installation.command(["audit", "verify", chain]).code == 0)
            }
        }
    }

    @Test("the trail of a workspace that has no job is archived, too")
    func withoutJobs() async throws {
        try await Installation.with { installation in
            _ = try await installation.redis.send(
                RedisCommand("XADD", "orc:{l0}:w:quiet:audit", "*", "e", #"{"kind":"job.denied"}"#))
            _ = try await installation.redis.send(RedisCommand("XADD", "orc:{l0}:audit", "*", "e", "not JSON\n"))
            let node = installation.node("n1")
            try await installation.start(node)
            try await eventually("both events are archived") { try await Self.isWhole(installation, "n1") }
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test(
        "the command names the row that was changed, finds a shortened archive by an anchor, and needs no configuration"
    )
    func command() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            for _ in 0..<5 { _ = try await installation.submit("queue.noop", ["note": "x"]) }
            let chain = installation.directory + "/n1/archive/n1"
            try await eventually("the jobs have an outcome") {
                try await installation.auditCounts("job.outcome").count == 5
            }
            try await eventually("the events are archived") { try await Self.isWhole(installation, "n1") }
            let copy = installation.directory + "/copy"
            try FileManager.default.copyItem(atPath: chain, toPath: copy)
            _ = try await installation.submit("queue.noop", ["note": "later"])
            try await eventually("the job has an outcome") {
                try await installation.auditCounts("job.outcome").count == 6
            }
            try await eventually("its events are archived") { try await Self.isWhole(installation, "n1") }
            let anchor = try await installation.command(["audit", "anchor"])
            #expect(anchor.code == 0)
            try Data(anchor.output.utf8).write(to: URL(fileURLWithPath: installation.directory + "/anchor.json"))
            await node.kill9()
            let verify = { (arguments: [String]) in
                try await runProgram(buildDirectory + "/orchestra", ["audit", "verify"] + arguments)
            }
            let options = ["--anchor", installation.directory + "/anchor.json"]
            #expect(try await verify([chain] + options).code == 0)
            let empty = installation.directory + "/n1/archive/n9"
            try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: false)
            let both = try await verify([installation.directory + "/n1/archive"])
            #expect(both.code == 0 && both.errors.contains("there is no archive in \(empty)"), "\(both.errors)")
            #expect(try await verify([copy]).code == 0)
            let short = try await verify([copy] + options)
            #expect(short.code == 1 && short.output.contains("its end was removed"))
            let path = chain + "/00000001.jsonl"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            let changed = text.replacing("\"queue.noop\"", with: "\"queue.nope\"", maxReplacements: 1)
            try changed.write(toFile: path, atomically: true, encoding: .utf8)
            let found = try await verify([chain, "--json"])
            #expect(found.code == 1)
            let finding = try JSONParser.parse(Array(found.output.utf8.dropLast()))
            let range = try #require(text.firstRange(of: "\"queue.noop\""))
            let line = 1 + text[..<range.lowerBound].count { $0 == "\n" }
            #expect(finding["ok"] == false && finding["segment"] == "00000001.jsonl")
            #expect(finding["line"]?.integer == Int64(line))
            #expect(try await verify([installation.directory + "/nothing"]).code == 1)
        }
    }

    @Test("a running node takes another key, and its archive holds with both")
    func rotation() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            _ = try await installation.submit("queue.noop", ["note": "x"])
            let chain = installation.directory + "/n1/archive/n1"
            try await eventually("the event is archived") { try await Self.isWhole(installation, "n1") }
            let before = try #require(try ArchiveVerification.head(of: chain)).key
            let rotated = try await installation.command(["audit", "rotate"])
            #expect(rotated.code == 0, "\(rotated.errors)")
            let after = rotated.output.trimmingCharacters(in: .whitespacesAndNewlines)
            try await eventually("the other key signs") { try ArchiveVerification.head(of: chain)?.key == after }
            try await eventually("the key file was replaced") {
                !FileManager.default.fileExists(atPath: installation.directory + "/n1/archive.key.next")
            }
            await node.kill9()
            try await installation.start(node)
            let id = try await installation.submit("queue.noop", ["note": "y"])
            _ = try await installation.ended(id)
            try await eventually("all events are archived") { try await Self.isWhole(installation, "n1") }
            for key in [before, after] {
                let verified = try await installation.command(["audit", "verify", chain, "--key", key])
                #expect(verified.code == 0, "\(verified.output)")
            }
            #expect(before != after)
            let other = String(repeating: "0", count: 64)
            #expect(try await installation.command(["audit", "verify", chain, "--key", other]).code == 1)
        }
    }

    /// A number among a node's metrics.
    private static func metric(_ name: String, of node: ManagedProcess) async throws -> Double {
        let lines = await node.output.split(separator: "\n")
        let line = try #require(lines.first { $0.contains("the probe port is open") })
        let port = try #require(try JSONParser.parse(Array(line.utf8))["probe.port"]?.string)
        let metrics = try await runProgram("/usr/bin/curl", ["-s", "http://127.0.0.1:\(port)/metrics"]).output
        let row = try #require(metrics.split(separator: "\n").first { $0.hasPrefix(name + " ") })
        return try #require(Double(row.split(separator: " ")[1]))
    }

    @Test(
        "an archive that cannot be written is logged and counted, its lag grows, and the node works on",
        .enabled(if: isInstalled("curl"), "needs curl"))
    func unwritable() async throws {
        try await Installation.with { installation in
            let archive = installation.directory + "/elsewhere"
            try FileManager.default.createDirectory(
                atPath: archive + "/n1", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            // A chain whose head was removed.
            try Data(repeating: 0x20, count: 5000).write(to: URL(fileURLWithPath: archive + "/n1/00000001.jsonl"))
            let node = installation.node("n1", change: ["ORCHESTRA_AUDIT_ARCHIVE": archive])
            try await installation.start(node)
            let id = try await installation.submit("queue.noop", ["note": "x"])
            #expect(try await installation.ended(id).state == .completed)
            try await eventually("the failure is logged") {
                await node.output.contains("the audit trail could not be archived")
            }
            try await eventually("the lag grows from one attempt to the next") {
                let failures = try await Self.metric("orchestra_archive_failures_total", of: node)
                let seconds = try await Self.metric("orchestra_archive_lag_seconds", of: node)
                return failures > 1 && seconds > 5
            }
            #expect(try await Self.metric("orchestra_archive_lag_entries", of: node) > 0)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }
}
