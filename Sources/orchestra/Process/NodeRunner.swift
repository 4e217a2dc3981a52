import Agents
import CoreMetrics
import Cryptography
import Domain
import Foundation
import Logging
import NIOPosix
import Policy
import Sandboxing
import Supervision
import Synchronization
import Telemetry
import UnixSignals
import Worker

/// Runs one node in this process until it is told to stop or gives up.
struct NodeRunner: Sendable {
    let context: Context
    let policy: PolicyEngine
    let master: SealingKey
    let logger: Logger
    /// A Redis of the node's own, as a supervised child.
    var server: [ChildSpecification] = []
    /// Called once the node has joined the queue, with the probe's and the API's port, 0 where there is none.
    var joined: @Sendable (_ probe: Int, _ api: Int) async -> Void = { _, _ in }

    /// Returns after a drain; throws when the node gave up or the probe port is taken.
    func run() async throws {
        let metrics = MetricsRegistry()
        metrics.makeRecorder(label: "orchestra_build_info", dimensions: [("version", Version.text)], aggregate: false)
            .record(Int64(1))
        let configuration = try await self.nodeConfiguration(metrics)
        let node = try Node(
            configuration: configuration, policy: self.policy, master: self.master,
            incarnation: try self.incarnation(), processID: getpid(), group: .singleton, metrics: metrics,
            logger: self.logger, wall: { Host.wallMilliseconds() })
        let port = PortBox()
        let telemetry = [try await self.probeChild(node, metrics, port), self.statusChild(node)]
        let api = try await APIRunner(
            self.context, policy: self.policy, master: self.master, metrics: metrics, logger: self.logger)
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                try await node.run(telemetry: telemetry, server: self.server, api: api?.children ?? [])
            }
            tasks.addTask { await Self.stop(node, on: signals, then: port) }
            tasks.addTask {
                await withDiscardingTaskGroup { announcing in
                    announcing.addTask { await self.announce(node, port, api) }
                    announcing.addTask {
                        await self.selftest(configuration.agents, metrics) { await node.gateOpened() }
                    }
                    await port.finished()
                    announcing.cancelAll()
                }
            }
            // The first to end is the drain's end or the node's failure.
            try await tasks.next()
            tasks.cancelAll()
            while true {
                do {
                    guard try await tasks.next() != nil else { break }
                } catch is CancellationError {}
            }
        }
    }

    /// The probe port as a child; throws status 69 when its address is taken.
    private func probeChild(_ node: Node, _ metrics: MetricsRegistry, _ port: PortBox) async throws
        -> ChildSpecification
    {
        let host = try self.context.settings.required("probe.host")
        let number = try self.context.settings.integer("probe.port")
        let probe = ProbeServer(
            configuration: ProbeServer.Configuration(host: host, port: number), registry: metrics, health: node,
            group: .singleton, logger: self.logger)
        do {
            try await probe.checkAddress()
        } catch {
            throw CommandError(
                .unavailable,
                "the probe port \(host):\(number) cannot be opened (\(error)); choose another with --probe-port, 0 for a free one"
            )
        }
        return ChildSpecification(
            id: "probe", backoff: RestartBackoff(first: .seconds(1), longest: .seconds(10), resetAfter: .seconds(60))
        ) { child in
            try await probe.run(port: port.value) { bound in
                port.set(bound)
                child.ready()
            }
        }
    }

    private func statusChild(_ node: Node) -> ChildSpecification {
        let server = StatusServer(
            path: self.context.statusSocket, group: .singleton, logger: self.logger,
            document: { await node.status.bytes })
        return ChildSpecification(
            id: "status", backoff: RestartBackoff(first: .seconds(1), longest: .seconds(10), resetAfter: .seconds(60))
        ) { child in
            try await server.run(ready: { child.ready() })
        }
    }

    /// Drains at the first SIGTERM or SIGINT, hurries at each further one.
    private static func stop(_ node: Node, on signals: UnixSignalsSequence, then port: PortBox) async {
        await withDiscardingTaskGroup { stops in
            var isStopping = false
            for await _ in signals {
                guard !isStopping else {
                    stops.addTask { await node.cancelRunningJobs() }
                    continue
                }
                isStopping = true
                stops.addTask {
                    await node.stop()
                    port.finish()
                }
            }
        }
    }

    /// Lets programs run once the escape test has been passed, or at once where it is switched off. `settled` is called
    /// each time the gate was opened or closed.
    private func selftest(
        _ agents: AgentConfiguration, _ metrics: MetricsRegistry, settled: @Sendable () async -> Void
    ) async {
        guard let gate = agents.gate else { return }
        do {
            guard try self.context.settings.required("sandbox.selftest") == "start" else {
                self.logger.warning("the escape test is switched off", metadata: ["setting": "sandbox.selftest"])
                gate.open("tier \(agents.plan.tier.rawValue), not tested: sandbox.selftest is never")
                return await settled()
            }
            let directory = try Host.privateDirectory(self.context.stateDirectory + "/selftest/node")
            await SandboxSelftest(
                configuration: agents, gate: gate, profiles: Array(self.policy.bundle.profiles.values),
                directory: directory, processID: getpid(), metrics: metrics, logger: self.logger
            ).run(settled: settled)
        } catch {
            self.logger.error("the escape test could not be run", error: error)
            gate.close("the escape test could not be run: \(Printable.text("\(error)", limit: 300))")
            await settled()
        }
    }

    private func announce(_ node: Node, _ port: PortBox, _ api: APIRunner?) async {
        do {
            while await !node.startup().allSatisfy(\.isHealthy) {
                try await ContinuousClock().sleep(for: .milliseconds(20))
            }
            // The API comes up last, in a moment.
            for _ in 0..<100 where api?.port.isBound == false {
                try await ContinuousClock().sleep(for: .milliseconds(20))
            }
            await self.joined(port.value, api?.port.value ?? 0)
        } catch {
            return  // the node ended before it had come up
        }
    }

    private func nodeConfiguration(_ metrics: MetricsRegistry) async throws -> NodeConfiguration {
        let settings = self.context.settings
        var (agents, measure) = try await self.context.measuredAgents()
        let lowest = self.policy.bundle.profiles.values.map(\.lowestTier).min() ?? .namespaces
        guard measure.tier >= lowest else {
            let reasons = measure.trials.map { "tier \($0.tier.rawValue): \($0.problem ?? $0.tier.summary)" }
            throw CommandError(
                .unavailable,
                "this host gives sandbox tier \(measure.tier.rawValue), and every profile asks for \(lowest.rawValue) or more. \(reasons.joined(separator: "; "))"
            )
        }
        let swept = try await ControlGroupSweep(configuration: agents).run()
        if !swept.isEmpty {
            self.logger.warning("processes of shims that are gone were ended", metadata: ["groups": "\(swept)"])
        }
        agents.gate = SandboxGate()
        metrics.makeRecorder(label: "orchestra_sandbox_tier", dimensions: [], aggregate: false)
            .record(Int64(measure.tier.rawValue))
        for trial in measure.trials {
            guard let problem = trial.problem else { continue }
            let isMissed = self.policy.bundle.profiles.values.contains { $0.lowestTier >= trial.tier }
            self.logger.log(
                level: isMissed ? .warning : .notice, "this host does not give a sandbox tier",
                metadata: ["sandbox.tier": "\(trial.tier.rawValue)", "reason": "\(problem)"])
        }
        self.logger.notice(
            "the sandbox was tried",
            metadata: ["sandbox.tier": "\(measure.tier.rawValue)", "layers": "\(measure.tier.summary)"])
        return NodeConfiguration(
            node: try self.context.node(), owner: try self.owner(), redis: try self.context.redis(),
            limits: try self.context.limits(), lanes: try self.context.lanes().count,
            slots: try settings.integer("worker.slots"),
            workspaceConcurrency: try settings.integer("worker.workspace-concurrency"),
            grace: try settings.seconds("worker.grace"), agents: agents,
            response: SecurityWatch.Response(rawValue: try settings.required("watch.response")) ?? .report)
    }

    /// The machine and the state directory: together they tell two nodes of one name apart.
    private func owner() throws -> String {
        let machine = FileManager.default.contents(atPath: "/etc/machine-id") ?? Data()
        let digest = try Digests.sha256(
            Array(machine) + Array("\(Host.hostName())/\(self.context.stateDirectory)".utf8))
        return Hexadecimal.text(of: digest.prefix(8))
    }

    /// Rises from one process to the next, so that a shim can tell a newer owner from an older one.
    private func incarnation() throws -> Incarnation {
        let random = try Digests.randomBytes(count: 2)
        let low = random.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Incarnation(value: Host.wallMilliseconds() << 16 | low)
    }
}

/// The probe's port once it is bound, and the end of the drain.
private final class PortBox: Sendable {
    private let port = Atomic<Int>(0)
    private let ends: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation

    init() { (self.ends, self.end) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    var value: Int { self.port.load(ordering: .relaxed) }

    func set(_ port: Int) { self.port.store(port, ordering: .relaxed) }

    func finish() { self.end.finish() }

    func finished() async { for await _ in self.ends {} }
}
