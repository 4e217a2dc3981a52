import Cryptography
import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

/// A real node whose lanes share its slots.
@Suite("Lanes of one node", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct LaneTests {
    /// A queue in several lanes and a node that works them.
    private struct LanedInstallation: Sendable {
        let installation: Installation
        let store: LanedJobStore
        let keys: WorkspaceKeyring
        /// One workspace for each lane.
        let workspaces: [WorkspaceID]
        let change: [String: String]

        init(_ installation: Installation, lanes: Int, slots: Int) throws {
            self.installation = installation
            self.store = try LanedJobStore(
                lanes: (0..<lanes).map {
                    RedisStreamJobQueue(
                        client: installation.client, limits: QueueLimits(), lane: Lane(number: $0))
                })
            self.keys = WorkspaceKeyring(
                queue: self.store, master: try SealingKey(bytes: [UInt8](repeating: 0x5a, count: 32)))
            self.workspaces = try (0..<lanes).map { lane in
                var number = 0
                while true {
                    let workspace = try WorkspaceID("w\(number)")
                    if Lane.of(workspace, among: lanes).number == lane { return workspace }
                    number += 1
                }
            }
            self.change = ["ORCHESTRA_QUEUE_LANES": String(lanes), "ORCHESTRA_WORKER_SLOTS": String(slots)]
        }

        func startNode() async throws -> ManagedProcess {
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"],
                environment: self.installation.environment(node: "n1").merging(self.change) { $1 },
                log: "\(self.installation.directory)/n1.log")
            try await self.installation.start(node)
            return node
        }

        func submit(_ action: String, _ params: JSONValue, to workspace: WorkspaceID) async throws -> JobID {
            let now = try await self.store.time()
            let id = JobID(milliseconds: now, randomHigh: .random(in: 0...(.max)), randomLow: .random(in: 0...(.max)))
            let job = Job(
                id: id, workspace: workspace, action: try ActionName(action),
                requestID: try RequestID(UUID().uuidString), actor: "test", submittedAt: now, params: params.bytes)
            let result = try await self.store.submit(
                [Submission(job: job, auditEvent: Array(#"{"kind":"job.submitted","job_id":"\#(id)"}"#.utf8))],
                keys: self.keys)
            guard result == [.accepted(id)] else { throw TestFailure("not accepted: \(result)") }
            return id
        }

        func state(_ id: JobID, in workspace: WorkspaceID) async throws -> JobState {
            guard let record = try await self.store.job(id, in: workspace) else {
                throw TestFailure("there is no record of \(id)")
            }
            return record.state
        }

        /// Cancels a job that runs, and waits for its end.
        func cancel(_ id: JobID, in workspace: WorkspaceID) async throws {
            let answer = try await self.installation.command(
                ["jobs", "cancel", id.description, "--wait"],
                change: self.change.merging(["ORCHESTRA_WORKSPACE": workspace.name]) { $1 })
            #expect(answer.code == 0, "\(answer.errors)")
            #expect(try await self.state(id, in: workspace) == .cancelled)
        }

        /// Submits jobs to all workspaces in turn and waits until each has completed.
        func complete(_ count: Int) async throws {
            var jobs: [(id: JobID, workspace: WorkspaceID)] = []
            for index in 0..<count {
                let workspace = self.workspaces[index % self.workspaces.count]
                jobs.append((try await self.submit("queue.noop", [:], to: workspace), workspace))
            }
            for job in jobs {
                try await eventually("job \(job.id) of lane \(job.workspace) ends") {
                    try await self.state(job.id, in: job.workspace).isFinal
                }
                #expect(try await self.state(job.id, in: job.workspace) == .completed)
            }
        }
    }

    @Test("with as many lanes as slots, short jobs of all lanes complete while one long job runs")
    func longJob() async throws {
        try await Installation.with { installation in
            let lanes = try LanedInstallation(installation, lanes: 16, slots: 16)
            let node = try await lanes.startNode()
            let workspace = lanes.workspaces[5]
            let long = try await lanes.submit("shell.run", ["command": "sleep 10000"], to: workspace)
            try await eventually("the long job runs") { try await lanes.state(long, in: workspace) == .running }
            try await lanes.complete(40)
            // The others take all the slots that the long one leaves, and give them back.
            var others: [(id: JobID, workspace: WorkspaceID)] = []
            for index in 0..<15 {
                let other = lanes.workspaces[index]
                others.append((try await lanes.submit("shell.run", ["command": "sleep 10000"], to: other), other))
            }
            try await eventually("all slots are used at once") {
                for job in others where try await lanes.state(job.id, in: job.workspace) != .running { return false }
                return true
            }
            for job in others { try await lanes.cancel(job.id, in: job.workspace) }
            try await lanes.complete(40)
            #expect(try await lanes.state(long, in: workspace) == .running)
            try await lanes.cancel(long, in: workspace)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("with one slot and two lanes the jobs of both lanes complete, again and again")
    func oneSlot() async throws {
        try await Installation.with { installation in
            let lanes = try LanedInstallation(installation, lanes: 2, slots: 1)
            let node = try await lanes.startNode()
            for _ in 0..<3 { try await lanes.complete(10) }
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }
}
