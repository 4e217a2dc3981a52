import Agents
import CoreMetrics
import Cryptography
import Domain
import Foundation
import Jobs
import Logging
import NIOPosix
import Policy
import Redis
import Sandboxing
import Supervision
import Synchronization
import TestSupport
import Testing
import Worker

/// Makes children of a node's tree fail or hang when a test says so.
private final class Faults: Sendable {
    enum Fault: Sendable {
        case fail
        /// Stops its work and ignores everything but its cancellation.
        case hang
        /// The same, and ignores that too until `release`.
        case leak
    }

    struct Injected: Error, CustomStringConvertible {
        let description = "injected"
    }

    private struct State {
        var live: [String: AsyncStream<Fault>.Continuation] = [:]
        var failing: Set<String> = []
    }

    private let state = Mutex(State())
    private let (releases, released) = AsyncStream<Void>.makeStream()
    /// Their pauses are left out and their heartbeats wanted sooner.
    private let hurried: Set<String>

    init(hurried: Set<String> = []) { self.hurried = hurried }

    /// Strikes the living instance.
    func strike(_ id: String, _ fault: Fault) { self.state.withLock { $0.live[id] }?.yield(fault) }

    /// Lets those end that ignore everything.
    func release() { self.released.yield() }

    /// From now on each instance fails as soon as it is ready.
    func keepFailing(_ id: String) {
        self.state.withLock { _ = $0.failing.insert(id) }
        self.strike(id, .fail)
    }

    func adjust(_ specification: ChildSpecification) -> ChildSpecification {
        var specification = specification
        let (id, run) = (specification.id, specification.run)
        if self.hurried.contains(id) {
            specification.backoff = nil
            specification.heartbeatLimit = specification.heartbeatLimit.map { _ in .seconds(7) }
            specification.shutdown = .timeout(.seconds(1))
        }
        specification.run = { child in
            let (faults, strike) = AsyncStream<Fault>.makeStream()
            let fails = self.state.withLock { state in
                state.live[id] = strike
                return state.failing.contains(id)
            }
            if fails { strike.yield(.fail) }
            let fault = try await withThrowingTaskGroup(of: Fault?.self) { group in
                group.addTask {
                    try await run(child)
                    return nil
                }
                group.addTask {
                    for await fault in faults {
                        if fault == .fail { throw Injected() }
                        return fault
                    }
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
            if fault == .leak {
                let releases = self.releases
                // Not of this task, so that its cancellation does not end the wait.
                await Task { for await _ in releases { return } }.value
            }
            while fault == .hang { try await ContinuousClock().sleep(for: .seconds(3600)) }
        }
        return specification
    }
}

/// A node in this process, on the installation's Redis.
private struct LocalNode {
    let node: Node
    let faults: Faults
    private let clock: any Clock<Duration>

    init(
        _ installation: Installation, faults: Faults, redis: RedisConfiguration? = nil, stormLimit: Int = 60,
        clock: any Clock<Duration> = ContinuousClock(),
        elapsed: @escaping @Sendable () -> Duration = SupervisionEnvironment.monotonicNow
    ) throws {
        let files = try PolicyBundle.folders.flatMap { folder in
            let path = "\(packageRoot)/Policies/\(folder)"
            guard FileManager.default.fileExists(atPath: path) else { return [PolicyFile]() }
            return try FileManager.default.contentsOfDirectory(atPath: path).map { name in
                PolicyFile(
                    folder: folder, name: name, bytes: Array(try Data(contentsOf: URL(filePath: "\(path)/\(name)"))))
            }
        }
        self.faults = faults
        self.clock = clock
        // A node's own shutdownTimeout, not that of the tests.
        var address = redis ?? installation.redis.configuration
        address.commandTimeout = min(address.commandTimeout, .seconds(3))
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        self.node = Node(
            configuration: NodeConfiguration(
                node: try NodeID("local"), owner: "test", redis: address,
                slots: 16, workspaceConcurrency: 8, grace: .seconds(5),
                agents: AgentConfiguration(
                    root: installation.directory + "/agents", workspaces: installation.directory + "/workspaces",
                    shim: buildDirectory + "/orchestra-shim", tmux: "/usr/bin/tmux",
                    plan: TestSandbox.plan(.namespaces, directory: installation.directory),
                    orphanGrace: .seconds(10), secrets: SecretStore(root: installation.directory + "/secrets")),
                stormLimit: stormLimit),
            policy: PolicyEngine(
                bundle: try PolicyBundle(files: files), allowed: try AllowList("queue.noop,shell.run")),
            access: try QueueAccess(
                redis: address, lanes: 1, limits: QueueLimits(),
                master: try SealingKey(bytes: [UInt8](repeating: 0x5a, count: 32)), role: .node, group: .singleton,
                metrics: NOOPMetricsHandler.instance, logger: quiet, timer: clock, elapsed: elapsed,
                wall: { UInt64(Date().timeIntervalSince1970 * 1000) }),
            incarnation: Incarnation(value: 1), processID: getpid(), group: .singleton,
            metrics: NOOPMetricsHandler.instance, logger: quiet, clock: clock, elapsed: elapsed,
            adjust: { faults.adjust($0) })
    }

    /// Runs the node until its end, with a window of telemetry that does nothing but beat.
    func run() async throws {
        let clock = self.clock
        try await self.node.run(telemetry: [
            ChildSpecification(id: "probe", heartbeatLimit: .seconds(30)) { child in
                child.ready()
                while true {
                    child.heartbeat()
                    try await clock.sleep(for: .seconds(1))
                }
            }
        ])
    }

    /// Runs the node while the body lasts.
    func run(_ body: (Node) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.run() }
            defer { group.cancelAll() }
            try await body(self.node)
        }
    }

    /// Every child that does not supervise, by id.
    static func leaves(_ tree: SupervisionTree?) -> [String: ChildStatus] {
        var leaves: [String: ChildStatus] = [:]
        for branch in tree?.branches ?? [] {
            if let below = branch.tree {
                leaves.merge(Self.leaves(below)) { $1 }
            } else {
                leaves[branch.status.id] = branch.status
            }
        }
        return leaves
    }
}

@Suite("The node's tree under faults")
struct NodeTreeTests {
    /// All of the tree but agents, whose deaths `ChaosTests` sees to, and telemetry's real ports.
    private static let children = [
        "probe", "commands", "blocking", "completions", "lease", "server-check", "loss-check", "launches",
        "gauges", "watch", "acme", "consumer",
    ]

    private static func jobs(_ installation: Installation, _ count: Int) async throws {
        var ids: [JobID] = []
        for _ in 0..<count { ids.append(try await installation.submit("queue.noop", [:])) }
        for id in ids { #expect(try await installation.ended(id).state == .completed) }
    }

    @Test("a child that fails is restarted alone, and jobs go on", arguments: Self.children)
    func failure(child: String) async throws {
        try await Installation.with { installation in
            let local = try LocalNode(installation, faults: Faults())
            try await local.run { node in
                try await Self.jobs(installation, 2)
                local.faults.strike(child, .fail)
                try await eventually("it is restarted") {
                    let status = LocalNode.leaves(await node.tree)[child]
                    return status?.restarts == 1 && (status?.state == .running || status?.state == .waiting)
                }
                try await Self.jobs(installation, 5)
                let leaves = LocalNode.leaves(await node.tree)
                #expect(leaves[child]?.lastReason == "injected")
                #expect(leaves.filter { $0.value.restarts > 0 }.map(\.key) == [child])
                #expect(Set(leaves.keys) == Set(Self.children))
            }
            #expect(try await installation.auditCounts("job.outcome").values.allSatisfy { $0 == 1 })
        }
    }

    /// The workspace's child only forwards, and is not watched: its jobs have time limits of their own.
    @Test("a child that hangs is found by its missing heartbeat", arguments: Self.children.filter { $0 != "acme" })
    func hang(child: String) async throws {
        try await Installation.with { installation in
            let local = try LocalNode(installation, faults: Faults(hurried: [child]))
            try await local.run { node in
                try await Self.jobs(installation, 2)
                local.faults.strike(child, .hang)
                try await eventually("it is restarted") {
                    let status = LocalNode.leaves(await node.tree)[child]
                    return status?.restarts == 1 && (status?.state == .running || status?.state == .waiting)
                }
                let leaves = LocalNode.leaves(await node.tree)
                #expect(leaves[child]?.lastReason?.hasPrefix("no heartbeat for") == true)
                #expect(leaves.filter { $0.value.restarts > 0 }.map(\.key) == [child])
                try await Self.jobs(installation, 5)
            }
            #expect(try await installation.auditCounts("job.outcome").values.allSatisfy { $0 == 1 })
        }
    }

    /// A job that a claim in the node's name took, whose answer the node never sees.
    private static func lostClaim(_ installation: Installation) async throws -> JobID {
        let lease = NodeLease(
            queue: installation.queue,
            identity: NodeIdentity(node: try NodeID("local"), incarnation: Incarnation(value: 1), owner: "test"))
        var lost: JobID?
        try await eventually("such a claim takes a job before the node does") {
            let id = try await installation.submit("queue.noop", [:])
            // A number that the node's own claims do not come to: it refuses those that it gave up.
            let request = ClaimRequest(most: 1, share: 8, number: 1 << 40)
            guard try await !lease.claim(request).deliveries.isEmpty else { return false }
            lost = id
            return true
        }
        let id = try #require(lost)
        #expect(try await installation.record(id).state == .running)
        return id
    }

    @Test("what the queue says a node holds and the node does not know of is found at its next renewal, and run")
    func foundAtRenewal() async throws {
        try await Installation.with { installation in
            let local = try LocalNode(installation, faults: Faults())
            try await local.run { node in
                try await Self.jobs(installation, 1)
                let id = try await Self.lostClaim(installation)
                #expect(try await installation.ended(id, within: .seconds(40)).state == .completed)
            }
        }
    }

    @Test("what a claim gave to a consumer that ended in the middle of it is found and run by the next one")
    func claimCutOff() async throws {
        try await Installation.with { installation in
            let local = try LocalNode(installation, faults: Faults())
            try await local.run { node in
                try await Self.jobs(installation, 1)
                let id = try await Self.lostClaim(installation)
                local.faults.strike("consumer", .fail)
                #expect(try await installation.ended(id).state == .completed)
            }
        }
    }

    @Test("an idle node that has joined sits out an outage without a restart, and says why it does not fetch")
    func outageWhileIdle() async throws {
        try await Installation.with { installation in
            let local = try LocalNode(installation, faults: Faults(hurried: ["consumer"]))
            try await local.run { node in
                try await Self.jobs(installation, 1)
                await installation.redis.process.kill9()
                try await eventually("the consumer says so") {
                    LocalNode.leaves(await node.tree)["consumer"]?.state == .waiting
                }
                // Longer than the consumer's heartbeat limit here, of seven seconds.
                try await ContinuousClock().sleep(for: .seconds(9))
                #expect(LocalNode.leaves(await node.tree).values.allSatisfy { $0.restarts == 0 })
                #expect(await node.readiness().first { $0.name == "claims" }?.isHealthy == false)
                try await installation.redis.start()
                try await Self.jobs(installation, 1)
            }
        }
    }

    @Test("a subsystem that gives up is started again with all after it; in the end the node gives up")
    func escalation() async throws {
        try await Installation.with { installation in
            let local = try LocalNode(installation, faults: Faults(hurried: ["lease"]))
            let node = Task { try await local.run() }
            try await Self.jobs(installation, 2)
            let running = try await installation.submit(
                "shell.run", ["command": "sleep 60"], isRepeatable: true)
            try await eventually("it runs") { try await installation.record(running).state == .running }
            local.faults.keepFailing("lease")
            try await eventually("the subsystem is restarted") {
                await local.node.tree?.branches.first { $0.status.id == "queue" }?.status.restarts == 1
            }
            let branches = await local.node.tree?.branches ?? []
            for branch in branches where ["telemetry", "redis"].contains(branch.status.id) {
                #expect(branch.status.reference.instance == 1)
            }
            // Its pauses are a second, two and four.
            let error = await #expect(throws: SupervisionError.self) { try await node.value }
            #expect(error?.code == .gaveUp)
            #expect(error?.message.contains("'queue'") == true)
            #expect(await local.node.tree?.leaked == [])
            // Nobody was left to write that the job was handed back: it is still this node's, and comes back with
            // its next life or, after its lease, on another node.
            let left = try await installation.record(running)
            #expect(left.state == .running, "\(left.state): \(left.reason)")
        }
    }

    @Test("a child that ignores even its cancellation makes the node not ready until it ends after all")
    func leak() async throws {
        try await Installation.with { installation in
            let local = try LocalNode(installation, faults: Faults(hurried: ["gauges"]))
            try await local.run { node in
                try await Self.jobs(installation, 1)
                local.faults.strike("gauges", .leak)
                try await eventually("it is reported as leaked") {
                    LocalNode.leaves(await node.tree)["gauges"]?.state == .leaked
                }
                let children = await node.readiness().first { $0.name == "children" }
                #expect(children?.isHealthy == false && children?.detail.contains("node/queue/gauges") == true)
                #expect(await node.liveness().map(\.isHealthy) == [true])
                // The others go on.
                try await Self.jobs(installation, 3)
                local.faults.release()
                try await eventually("its successor runs") {
                    let status = LocalNode.leaves(await node.tree)["gauges"]
                    return status?.state == .running && status?.restarts == 1
                }
                #expect(await node.readiness().first { $0.name == "children" }?.isHealthy == true)
            }
        }
    }

    @Test("a storm of restarts makes the node not ready and stops its claims; what runs goes on")
    func storm() async throws {
        try await Installation.with { installation in
            let local = try LocalNode(installation, faults: Faults(), stormLimit: 2)
            try await local.run { node in
                let running = try await installation.submit("shell.run", ["command": "sleep 2; echo fine"])
                try await eventually("it runs") { try await installation.record(running).state == .running }
                for restarts in 1...3 {
                    local.faults.strike("gauges", .fail)
                    try await eventually("it is restarted") {
                        let status = LocalNode.leaves(await node.tree)["gauges"]
                        return status?.restarts == restarts && status?.state == .running
                    }
                }
                #expect(await node.readiness().first { $0.name == "restarts" }?.isHealthy == false)
                #expect(await node.liveness().map(\.isHealthy) == [true])
                let waiting = try await installation.submit("queue.noop", [:])
                try await eventually("the node says why") {
                    await node.readiness().first { $0.name == "claims" }?.detail.contains("more than 2 restarts")
                        == true
                }
                #expect(try await installation.ended(running).state == .completed)
                #expect(try await installation.record(waiting).state == .available)
            }
        }
    }

    @Test("Redis away for half an hour of simulated time spends no restart, and nobody counts as hung")
    func longOutage() async throws {
        try await Installation.with { installation in
            let clock = VirtualClock()
            var away = installation.redis.configuration
            away.endpoint = .unix(path: installation.directory + "/nobody.sock")
            away.commandTimeout = .milliseconds(5)
            let local = try LocalNode(
                installation, faults: Faults(), redis: away, clock: clock, elapsed: { clock.now.offset })
            try await local.run { node in
                // The number of loops: that of the sleepers once the waits of the start are over and it stays the same.
                var loops = 0
                for _ in 0..<4 {
                    loops = 0
                    try await eventually("all sleep") {
                        let before = clock.sleepers
                        try await Task.sleep(for: .milliseconds(300))
                        loops = clock.sleepers
                        return loops >= 8 && loops == before
                    }
                    clock.advance(by: .seconds(5))
                }
                while clock.now.offset < .seconds(1800) {
                    // All loops have had their turn when as many sleep again.
                    try await eventually("they sleep again") { clock.sleepers >= loops }
                    // Far less than the heartbeat limit: other sleepers, such as a pause between connections, can stand for
                    // a loop in some steps.
                    clock.advance(by: .seconds(1))
                }
                let leaves = LocalNode.leaves(await node.tree)
                #expect(leaves.count == Self.children.count - 1)
                let restarted = leaves.values.filter { $0.restarts > 0 || $0.lastReason != nil }
                #expect(restarted.isEmpty)
                #expect(leaves["commands"]?.state == .waiting)
                #expect(leaves["consumer"]?.state == .waiting)
                #expect(await node.readiness().first { $0.name == "redis" }?.isHealthy == false)
                #expect(clock.now.offset >= .seconds(1800))
            }
        }
    }
}
