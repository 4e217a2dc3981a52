import Domain
import Foundation
import Jobs
import JobsModel
import NIOPosix
import TestSupport
import Testing

@testable import Agents
@testable import Worker

/// What the watch does about an incident: an agent's directory that others could enter.
@Suite("SecurityWatch", .timeLimit(.minutes(5)))
struct SecurityWatchTests {
    private static let away = JobQueueError(code: .unavailable, message: "Redis is away")

    private struct Watched {
        let bench: WorkerBench
        let workspace: WorkspaceID
        let path: String

        /// Opens the agent's directory to others.
        func expose() throws {
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: self.path)
        }

        /// Rows of the audit trail of this kind, but for those of other processes of this machine.
        func rows(_ kind: String) async throws -> [JSONValue] {
            try await self.bench.audit().filter {
                $0["kind"]?.string == kind && $0["action"]?.string == "permissions_changed"
            }
        }

        /// Lets the watch look again.
        func look() async {
            self.bench.clock.advance(by: .seconds(1))
            await self.bench.clock.waitForSleeper()
        }

        var incidents: String? {
            self.bench.metric("orchestra_security_events_total", #"{kind="permissions_changed"}"#)
        }
    }

    /// A watch over one agent, whose directory is as it should be, while the body lasts.
    private func watching(
        _ response: SecurityWatch.Response, _ body: (Watched) async throws -> Void
    ) async throws {
        try await WorkerBench.with { bench in
            let workspace = try WorkspaceID("acme")
            let agent = JobID(milliseconds: 1, randomHigh: 1, randomLow: 1)
            let directory = AgentDirectory(root: bench.agents.root, id: agent)
            try FileManager.default.createDirectory(
                atPath: directory.generationPath(1), withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
            let registry = AgentRegistry(metrics: bench.metrics)
            await registry.add(agent, of: workspace)
            let watch = SecurityWatch(
                scan: SecurityScan(configuration: bench.agents, group: .singleton), census: registry,
                store: bench.queue, registry: bench.registry, response: response, node: "n1", metrics: bench.metrics,
                logger: bench.logger, clock: bench.clock)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await watch.run() }
                defer { group.cancelAll() }
                await bench.clock.waitForSleeper()
                try await body(Watched(bench: bench, workspace: workspace, path: directory.path))
            }
        }
    }

    @Test("where all is as it should be nothing is reported")
    func quiet() async throws {
        try await self.watching(.quarantine) { watched in
            await watched.look()
            let rows = try await watched.rows("security.incident")
            #expect(rows.isEmpty && watched.incidents == "0")
        }
    }

    @Test(
        "an incident is counted, logged and written to the audit trail once", arguments: SecurityWatch.Response.allCases
    )
    func reported(response: SecurityWatch.Response) async throws {
        try await self.watching(response) { watched in
            try watched.expose()
            for _ in 0..<3 { await watched.look() }
            #expect(watched.incidents == "1")
            let rows = try await watched.rows("security.incident")
            #expect(rows.count == 1 && rows.first?["workspace"]?.string == "acme")
            #expect(rows.first?["actor"]?.string == "node:n1")
        }
    }

    @Test("an incident that happens again is reported again")
    func again() async throws {
        try await self.watching(.report) { watched in
            for count in 1...2 {
                try watched.expose()
                await watched.look()
                #expect(watched.incidents == "\(count)")
                await watched.look()
            }
        }
    }

    @Test("the watch closes what it found open")
    func closed() async throws {
        try await self.watching(.report) { watched in
            try watched.expose()
            await watched.look()
            let mode = try FileManager.default.attributesOfItem(atPath: watched.path)[.posixPermissions] as? Int
            #expect(mode == 0o700)
        }
    }

    @Test(
        "a report ends nothing, and a kill ends what of the workspace runs here",
        arguments: [
            (SecurityWatch.Response.report, CancellationReason?.none), (.freeze, nil), (.kill, .security),
            (.quarantine, .security),
        ])
    func runs(response: SecurityWatch.Response, expected: CancellationReason?) async throws {
        try await self.watching(response) { watched in
            let delivery = try await watched.bench.deliver()
            try watched.expose()
            await watched.look()
            let run = JobRun(entry: delivery.entry, clock: watched.bench.clock)
            #expect(await watched.bench.registry.register(run) == expected)
        }
    }

    @Test("only a quarantine keeps the workspace from taking jobs", arguments: SecurityWatch.Response.allCases)
    func quarantine(response: SecurityWatch.Response) async throws {
        try await self.watching(response) { watched in
            try watched.expose()
            await watched.look()
            let quarantined = await watched.bench.queue.quarantined().map(\.workspace)
            #expect(quarantined == (response == .quarantine ? ["acme"] : []))
            #expect(try await watched.rows("workspace.quarantined").count == quarantined.count)
        }
    }

    @Test("a quarantine that Redis did not take is tried again at each look, and what comes meanwhile is ended")
    func quarantineLater() async throws {
        try await self.watching(.quarantine) { watched in
            await watched.bench.queue.fail(.quarantine, with: Self.away)
            try watched.expose()
            await watched.look()
            #expect(await watched.bench.queue.quarantined().isEmpty)
            let delivery = try await watched.bench.deliver()
            await watched.look()
            #expect(await watched.bench.queue.quarantined().count == 1)
            let run = JobRun(entry: delivery.entry, clock: watched.bench.clock)
            #expect(await watched.bench.registry.register(run) == .security)
        }
    }

    @Test("a workspace that was released stays released, until there is another incident")
    func released() async throws {
        try await self.watching(.quarantine) { watched in
            try watched.expose()
            await watched.look()
            _ = try await watched.bench.queue.quarantine(watched.workspace, reason: nil, auditEvent: [])
            await watched.look()
            #expect(await watched.bench.queue.quarantined().isEmpty)
        }
    }

    @Test("an incident that the audit trail did not take is written later, once")
    func writtenLater() async throws {
        try await self.watching(.report) { watched in
            for _ in 0..<2 { await watched.bench.queue.fail(.appendAudit, with: Self.away) }
            try watched.expose()
            await watched.look()
            await watched.look()
            #expect(try await watched.rows("security.incident").isEmpty)
            await watched.look()
            await watched.look()
            #expect(try await watched.rows("security.incident").count == 1)
            #expect(watched.incidents == "1")
        }
    }

    @Test("a process that is not one of an agents' user is no incident, whatever its number was reported for")
    func otherUser() async throws {
        try await WorkerBench.with { bench in
            let scan = SecurityScan(configuration: bench.agents, group: .singleton)
            let found = try await scan.arrivals(again: [getpid()])
            #expect(found.isEmpty)
        }
    }
}
