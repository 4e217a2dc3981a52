package import Agents
internal import Audit
package import CoreMetrics
internal import Domain
package import Jobs
package import Logging

/// Scans once a second, and on the kernel's reports, for agents' processes, terminals and directories that are outside their sandbox or have the wrong
/// permissions. Records each incident and carries out the configured response.
package actor SecurityWatch {
    /// The response to an incident of a known workspace, in addition to the log and the audit event.
    package enum Response: String, Sendable, CaseIterable {
        /// Nothing else.
        case report
        /// The workspace's agents on this node are frozen until a person thaws or ends them.
        case freeze
        /// The workspace's jobs on this node are cancelled.
        case kill
        /// The workspace is in quarantine until a person releases it, and its jobs on this node are cancelled.
        case quarantine
    }

    private let scan: SecurityScan
    private let agents: AgentRegistry
    private let store: any JobStore
    private let registry: RunRegistry
    private let response: Response
    private let node: String
    private let logger: Logger
    private let clock: any Clock<Duration>
    private let counters: [SecurityScan.Incident.Kind: Counter]
    /// The incidents of the last scan.
    private var lastIncidents: Set<SecurityScan.Incident> = []
    /// The reported incidents, each with the number of the scan that found it last.
    private var reported: [SecurityScan.Incident: Int] = [:]
    /// Processes that the kernel reported and that were outside at the last look, by their numbers.
    private var arrived: [Int32: SecurityScan.Incident] = [:]
    private var scanCount = 0
    /// The workspaces to put into quarantine, with their incidents; kept while Redis is unavailable.
    private var pending: [WorkspaceID: SecurityScan.Incident] = [:]
    /// Reported incidents that are not in the audit trail yet, because Redis was unavailable.
    private var unwritten: [SecurityScan.Incident] = []

    /// The last scan failed.
    private var hasFailed = false
    /// The number of scans since an agent last ran.
    private var idleScans = 0

    /// After this number of idle scans, only one scan in this number includes what is outside of agents.
    private static let idleScanInterval = 60
    /// The number of scans between removals of old agent directories.
    private static let removalInterval = 3600
    /// The number of scans without an incident before it is considered over: a scan on a busy machine may miss it.
    private static let missedScansTolerated = 5
    private static let interval = Duration.seconds(1)
    /// How often the kernel's reports are taken between two scans.
    private static let arrivalLooks = 5
    private static let mostUnwritten = 1000

    /// `node` is the name of the node in audit events.
    package init(
        scan: SecurityScan, census: AgentRegistry, store: any JobStore, registry: RunRegistry, response: Response,
        node: String, metrics: any MetricsFactory, logger: Logger, clock: any Clock<Duration>
    ) {
        self.scan = scan
        self.agents = census
        self.store = store
        self.registry = registry
        self.response = response
        self.node = node
        self.logger = logger
        self.clock = clock
        self.counters = Dictionary(
            uniqueKeysWithValues: SecurityScan.Incident.Kind.allCases.map {
                (
                    $0,
                    Counter(
                        label: "orchestra_security_events_total", dimensions: [("kind", $0.rawValue)], factory: metrics)
                )
            })
    }

    /// Scans until the task is cancelled. Does not fail while Redis is unavailable.
    package func run(heartbeat: @Sendable () -> Void = {}) async throws {
        while true {
            heartbeat()
            await self.scanOnce()
            await self.quarantine()
            await self.writeAudit()
            await self.removeEndedAgents()
            try await self.waitForNextScan()
        }
    }

    /// Sleeps until the next scan. Meanwhile it takes the kernel's reports, of processes that may be gone then.
    private func waitForNextScan() async throws {
        guard self.scan.reportsChanges else { return try await self.clock.sleep(for: Self.interval) }
        for _ in 0..<Self.arrivalLooks {
            try await self.clock.sleep(for: Self.interval / Self.arrivalLooks)
            let arrived: [Int32: SecurityScan.Incident]
            // The next scan reads the same, and reports that it cannot.
            do { arrived = try await self.scan.arrivals(again: self.arrived.keys) } catch { continue }
            let certain = arrived.filter { self.arrived[$0.key] == $0.value }
            self.arrived = arrived
            if !certain.isEmpty { await self.report(Set(certain.values), running: await self.agents.living) }
        }
    }

    /// Scans, and reports and responds to new incidents.
    private func scanOnce() async {
        let running = await self.agents.living
        // Long after the last agent there is little to find, and the scan costs CPU time on an idle node.
        self.idleScans = running.isEmpty ? self.idleScans + 1 : 0
        let scansOutside = self.idleScans < Self.idleScanInterval || self.idleScans % Self.idleScanInterval == 0
        let incidents: Set<SecurityScan.Incident>
        do {
            incidents = Set(try await self.scan.look(at: running, scansOutside: scansOutside))
            self.hasFailed = false
        } catch {
            // Nothing is known now, which ends no incident and begins none.
            if !self.hasFailed { self.logger.error("the security scan failed", error: error) }
            self.hasFailed = true
            return
        }
        // A process whose shim has just died is about to end, so it is an incident only when the next scan finds it too.
        let certain = incidents.filter { $0.kind != .processOutside || self.lastIncidents.contains($0) }
        self.lastIncidents = incidents
        self.scanCount += 1
        self.reported = self.reported.filter { self.scanCount - $0.value <= Self.missedScansTolerated }
        await self.report(certain, running: running)
    }

    /// Reports and responds to those incidents that are not reported yet.
    private func report(
        _ certain: Set<SecurityScan.Incident>, running: [SecurityScan.RunningAgent]
    ) async {
        for incident in certain.filter({ self.reported[$0] == nil }).sorted(by: { $0.subject < $1.subject }) {
            self.counters[incident.kind]?.increment()
            self.logger.critical(
                "security incident",
                metadata: [
                    "incident.kind": "\(incident.kind.rawValue)", "incident.subject": "\(incident.subject)",
                    "workspace": "\(incident.workspace?.name ?? "unknown")",
                ])
            if self.unwritten.count < Self.mostUnwritten { self.unwritten.append(incident) }
            guard let workspace = incident.workspace else { continue }
            switch self.response {
            case .report: break
            case .freeze: await self.freeze(running.filter { $0.workspace == workspace })
            case .kill: await self.registry.cancelAll(of: workspace, .security)
            case .quarantine: self.pending[workspace] = self.pending[workspace] ?? incident
            }
        }
        // An incident that is over is reported again when it recurs. One that the scan corrected is over at once.
        for incident in certain where !incident.isOver { self.reported[incident] = self.scanCount }
    }

    /// Removes the directories of agents that ended long ago, once in `removalInterval` scans.
    private func removeEndedAgents() async {
        guard self.scanCount % Self.removalInterval == 1 else { return }
        do {
            let (removed, problems) = try await self.scan.removeEnded(except: await self.agents.living)
            if removed > 0 {
                self.logger.notice(
                    "removed the directories of agents that ended long ago", metadata: ["count": "\(removed)"])
            }
            for problem in problems {
                self.logger.error("an agent's directory could not be removed", metadata: ["reason": "\(problem)"])
            }
        } catch {
            self.logger.error("the directories of ended agents could not be removed", error: error)
        }
    }

    private func freeze(_ agents: [SecurityScan.RunningAgent]) async {
        for agent in agents {
            do {
                let count = try await self.scan.freeze(agent)
                self.logger.warning(
                    "an agent was frozen", metadata: ["agent.id": "\(agent.id)", "processes": "\(count)"])
            } catch {
                self.logger.error("an agent could not be frozen", error: error, metadata: ["agent.id": "\(agent.id)"])
            }
        }
    }

    /// Puts workspaces into quarantine and cancels their jobs on this node. What fails is retried after the next scan.
    private func quarantine() async {
        for (workspace, incident) in self.pending {
            await self.registry.cancelAll(of: workspace, .security)
            do {
                let event = try await self.event(.quarantined, incident, of: workspace)
                _ = try await self.store.quarantine(workspace, reason: incident.subject, auditEvent: event)
                // Also cancel what was claimed during the call.
                await self.registry.cancelAll(of: workspace, .security)
                self.pending[workspace] = nil
            } catch {
                self.logger.error(
                    "a workspace could not be put into quarantine; it is retried", error: error,
                    metadata: ["workspace": "\(workspace)"])
                return
            }
        }
    }

    /// Writes audit events in order, until one fails.
    private func writeAudit() async {
        while let incident = self.unwritten.first {
            do {
                try await self.store.appendAudit(
                    try await self.event(.incident, incident, of: incident.workspace), of: incident.workspace)
            } catch {
                return  // Redis is unavailable: the log has the incident, and the next scan writes it again
            }
            self.unwritten.removeFirst()
        }
    }

    private func event(
        _ kind: AuditEvent.Kind, _ incident: SecurityScan.Incident, of workspace: WorkspaceID?
    ) async throws -> [UInt8] {
        AuditEvent(
            kind: kind, workspace: workspace, actor: "node:\(self.node)", action: incident.kind.rawValue, jobID: nil,
            status: "seen", rule: "watch", duration: .zero, errorReason: incident.subject, paramsDigest: [],
            node: self.node, time: try await self.store.time()
        ).encoded
    }
}
