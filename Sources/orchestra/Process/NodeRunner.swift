import Budgets
import Agents
import CoreMetrics
import Cryptography
import Domain
import EgressServer
import Jobs
import Foundation
import Logging
import NIOPosix
import Policy
import Sandboxing
import Supervision
import Telemetry
import UnixSignals
import Worker

/// Runs one node in this process until a signal stops it or it gives up.
struct NodeRunner: Sendable {
    let context: Context
    let policy: PolicyEngine
    let master: SealingKey
    let metrics: MetricsRegistry
    let logger: Logger
    /// A Redis of the node's own, as a supervised child.
    var server: [ChildSpecification] = []
    /// Receives the node's state; nil when no service manager started it.
    var manager: ServiceManager?
    /// Stops the node as a signal does.
    var stopRequest = StopRequest()
    /// Called once the node has joined the queue, with the ports of the probe and of the API, 0 where there is none.
    var joined: @Sendable (_ probe: Int, _ api: Int) async -> Void = { _, _ in }

    /// Returns after a drain; throws when the node gave up or an address is taken.
    func run() async throws {
        self.record("orchestra_build_info", [("version", Version.text)], 1)
        var configuration = try await self.nodeConfiguration()
        let incarnation = try IncarnationFile(path: self.context.stateDirectory + "/incarnation").next(
            milliseconds: Host.wallMilliseconds(), logger: self.logger)
        if self.context.settings.isOn("workspaces.shared") {
            try SharedDirectory(workspaces: configuration.agents.workspaces).mark(configuration.node, incarnation)
        }
        let access = try self.context.queueAccess(.node, metrics: self.metrics, logger: self.logger)
        configuration.copier = try self.copier(configuration, access)
        let node = Node(
            configuration: configuration, policy: self.policy, access: access, incarnation: incarnation,
            processID: getpid(), group: .singleton, metrics: self.metrics, logger: self.logger)
        let port = PortBox()
        let telemetry = [try await self.probeChild(node, port), try self.statusChild(node)]
        let api = try await APIRunner(
            self.context, policy: self.policy, master: self.master, nextTo: access, agents: configuration.agents,
            copier: configuration.copier, metrics: self.metrics, logger: self.logger)
        let egress = try self.egressChildren(access)
        let agents = configuration.agents
        let signals = await UnixSignalsSequence(trapping: Self.stopSignals)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                try await node.run(
                    telemetry: telemetry, server: self.server, egress: egress, api: api?.children ?? [])
            }
            tasks.addTask { await self.stop(node, on: signals, then: port) }
            if let manager { tasks.addTask { try await manager.watch(node) } }
            tasks.addTask {
                await withDiscardingTaskGroup { announcing in
                    announcing.addTask { await self.announce(node, port, api) }
                    announcing.addTask {
                        await self.testEscapes(agents) { await node.gateOpened() }
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

    /// Sets a gauge.
    func record(_ label: String, _ dimensions: [(String, String)], _ value: Int) {
        self.metrics.makeRecorder(label: label, dimensions: dimensions, aggregate: false).record(Int64(value))
    }

    /// The probe port as a child; throws status 78 when it is not allowed and 69 when its address is taken.
    private func probeChild(_ node: Node, _ port: PortBox) async throws -> ChildSpecification {
        let address = try self.context.probe()
        let probe = ProbeServer(
            configuration: ProbeServer.Configuration(host: address.host, port: address.port), registry: self.metrics,
            health: node, group: .singleton, logger: self.logger)
        do {
            try await probe.checkAddress()
        } catch {
            throw CommandError(
                .unavailable,
                "the probe port \(address.host):\(address.port) cannot be opened (\(error)); choose another with --probe-port, 0 for a free one"
            )
        }
        return ChildSpecification(id: "probe", backoff: Self.backoff) { child in
            try await probe.run(port: port.value) { bound in
                port.set(bound)
                child.ready()
            }
        }
    }

    /// The egress server where a profile of the policy needs one, or an agent that lives on was launched with a listener: what
    /// its profile does not name any more is refused. Throws status 78 when its settings are refused.
    private func egressChildren(_ access: QueueAccess) throws -> [ChildSpecification] {
        let configuration = try self.context.egress(self.policy.bundle)
        let isNeeded =
            try !configuration.entries.isEmpty
            || AgentDirectory.anyNeedsEgress(root: try self.context.agents().root)
        guard isNeeded else { return [] }
        guard let client = access.lanes.first?.commands else { return [] }
        let (clock, store, node, logger) = (access.clock, access.store, try self.context.node().name, self.logger)
        let metrics = EgressMetrics(factory: self.metrics)
        let admission = try ModelAdmission(
            client: client, master: try self.context.masterKey(), prices: try self.context.prices(),
            now: { clock.now() }, logger: logger,
            reached: { share in
                metrics.reached(share.threshold)
                await BudgetReport(store: store, node: node, logger: logger).report(share, at: clock.now())
            })
        let trail = EgressTrail(
            store: store, node: node, now: { clock.now() }, wall: { Host.wallMilliseconds() }, admission: admission,
            metrics: metrics,
            logger: logger)
        return [
            EgressRunner(
                configuration: configuration.encoded, append: { await trail.append($0) }, logger: self.logger
            ).child
        ]
    }

    private func statusChild(_ node: Node) throws -> ChildSpecification {
        let server = StatusServer(
            path: try self.context.statusSocket(), group: .singleton, logger: self.logger,
            document: { await node.status.bytes })
        return ChildSpecification(id: "status", backoff: Self.backoff) { child in
            try await server.run(ready: { child.ready() })
        }
    }

    private static let backoff = RestartBackoff(first: .seconds(1), longest: .seconds(10), resetAfter: .seconds(60))

    /// SIGTERM and SIGINT, and the end of the terminal unless the caller ignores it, as nohup does.
    private static var stopSignals: [UnixSignal] {
        [.sigterm, .sigint] + (self.isHangUpIgnored ? [] : [.sighup])
    }

    private static var isHangUpIgnored: Bool {
        var action = sigaction()
        guard unsafe sigaction(SIGHUP, nil, &action) == 0 else { return false }
        let handler = unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
        let ignore = unsafe unsafeBitCast(SIG_IGN, to: Int.self)
        return handler == ignore
    }

    /// Drains at the first signal or request, cancels running jobs at each further signal.
    private func stop(_ node: Node, on signals: UnixSignalsSequence, then port: PortBox) async {
        let drain = FirstReceipt()
        await withDiscardingTaskGroup { stops in
            stops.addTask {
                await self.stopRequest.requested()
                guard !Task.isCancelled, drain.take() else { return }
                await self.drain(node, port)
            }
            for await _ in signals {
                guard drain.take() else {
                    stops.addTask { await node.cancelRunningJobs() }
                    continue
                }
                stops.addTask { await self.drain(node, port) }
            }
        }
    }

    private func drain(_ node: Node, _ port: PortBox) async {
        self.manager?.stopping()
        await node.stop()
        port.finish()
    }

    private func announce(_ node: Node, _ port: PortBox, _ api: APIRunner?) async {
        do {
            while await !node.startup().allSatisfy(\.isHealthy) {
                try await ContinuousClock().sleep(for: .milliseconds(20))
            }
            // The API is the last child to start.
            for _ in 0..<100 where api?.port.isBound == false {
                try await ContinuousClock().sleep(for: .milliseconds(20))
            }
            await self.joined(port.value, api?.port.value ?? 0)
        } catch {
            return  // the node ended before it had come up
        }
    }
}
