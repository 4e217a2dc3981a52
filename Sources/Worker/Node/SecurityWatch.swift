package import Agents
internal import Audit
package import CoreMetrics
internal import Domain
package import Jobs
package import Logging

/// The node's own watch: looks once a second whether everything of the agents is where it belongs, writes down what is
/// not, and does what the operator decided for that case.
package actor SecurityWatch {
    /// What is done about an incident whose workspace is known, beside writing it down.
    package enum Response: String, Sendable, CaseIterable {
        case report
        /// What of the workspace's agents runs here stands still until somebody lets it go on or ends it.
        case freeze
        /// What of the workspace runs here is ended.
        case kill
        /// The workspace takes and starts no jobs until it is released, and what of it runs here is ended.
        case quarantine
    }

    private let scan: SecurityScan
    private let census: AgentRegistry
    private let store: any JobStore
    private let registry: RunRegistry
    private let response: Response
    private let node: String
    private let logger: Logger
    private let clock: any Clock<Duration>
    private let counters: [SecurityScan.Incident.Kind: Counter]
    /// Seen at the last look.
    private var seen: Set<SecurityScan.Incident> = []
    /// Those that were told, and the look at which each was seen last.
    private var reported: [SecurityScan.Incident: Int] = [:]
    private var looks = 0
    /// Workspaces that are to be quarantined, and the incidents; Redis may be away.
    private var pending: [WorkspaceID: SecurityScan.Incident] = [:]
    /// Told, but not in the audit trail yet, because Redis was away.
    private var unwritten: [SecurityScan.Incident] = []

    /// The last look could not be done.
    private var isBlind = false
    /// Looks since an agent lived last.
    private var idleScans = 0

    /// Looks after which an idle node looks around only once in so many.
    private static let idleScanInterval = 60
    /// Looks between two times of tidying up.
    private static let tidyLooks = 3600
    /// Looks that may miss an incident before it counts as over: a busy machine may not answer one of them.
    private static let missedScansTolerated = 5
    private static let interval = Duration.seconds(1)
    private static let mostUnwritten = 1000

    package init(
        scan: SecurityScan, census: AgentRegistry, store: any JobStore, registry: RunRegistry, response: Response,
        node: String, metrics: any MetricsFactory, logger: Logger, clock: any Clock<Duration>
    ) {
        self.scan = scan
        self.census = census
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

    package func run(heartbeat: @Sendable () -> Void = {}) async throws {
        while true {
            heartbeat()
            await self.look()
            await self.quarantine()
            await self.writeDown()
            await self.tidy()
            try await self.clock.sleep(for: Self.interval)
        }
    }

    private func look() async {
        let living = await self.census.living
        // Long after the last program there is little to find, and an idle node is to be idle.
        self.idleScans = living.isEmpty ? self.idleScans + 1 : 0
        let scansOutside = self.idleScans < Self.idleScanInterval || self.idleScans % Self.idleScanInterval == 0
        let incidents: Set<SecurityScan.Incident>
        do {
            incidents = Set(try await self.scan.look(at: living, scansOutside: scansOutside))
            self.isBlind = false
        } catch {
            // Nothing is known now, which ends no incident and begins none.
            if !self.isBlind { self.logger.error("the security scan could not be done", error: error) }
            self.isBlind = true
            return
        }
        // A process whose shim has just died is on its way out: it counts at the second sight.
        let certain = incidents.filter { $0.kind != .processOutside || self.seen.contains($0) }
        self.seen = incidents
        self.looks += 1
        self.reported = self.reported.filter { self.looks - $0.value <= Self.missedScansTolerated }
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
            case .freeze: await self.freeze(living.filter { $0.workspace == workspace })
            case .kill: await self.registry.cancelAll(of: workspace, .security)
            case .quarantine: self.pending[workspace] = self.pending[workspace] ?? incident
            }
        }
        // What is over may come again, and is told again then; what was closed again is over at once.
        for incident in certain where !incident.isOver { self.reported[incident] = self.looks }
    }

    /// Now and then: what is kept of agents that ended long ago goes.
    private func tidy() async {
        guard self.looks % Self.tidyLooks == 1 else { return }
        do {
            let (removed, problems) = try await self.scan.removeEnded(except: await self.census.living)
            if removed > 0 {
                self.logger.notice(
                    "the directories of agents that ended long ago were removed", metadata: ["count": "\(removed)"])
            }
            for problem in problems {
                self.logger.error("an agent's directory could not be removed", metadata: ["reason": "\(problem)"])
            }
        } catch {
            self.logger.error("the agents' directories could not be tidied up", error: error)
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

    /// Ends what runs here of such workspaces, and keeps them from getting more, until that is done.
    private func quarantine() async {
        for (workspace, incident) in self.pending {
            await self.registry.cancelAll(of: workspace, .security)
            do {
                let event = try await self.event(.quarantined, incident, of: workspace)
                _ = try await self.store.quarantine(workspace, reason: incident.subject, auditEvent: event)
                // What was claimed meanwhile.
                await self.registry.cancelAll(of: workspace, .security)
                self.pending[workspace] = nil
            } catch {
                self.logger.error(
                    "a workspace could not be put into quarantine yet", error: error,
                    metadata: ["workspace": "\(workspace)"])
                return
            }
        }
    }

    private func writeDown() async {
        while let incident = self.unwritten.first {
            do {
                try await self.store.appendAudit(
                    try await self.event(.incident, incident, of: incident.workspace), of: incident.workspace)
            } catch {
                return  // Redis is away: the log has it, and the trail gets it later
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
