import Audit
import Domain
import Egress
import EgressServer
import Jobs
import Logging
import ModelUsage

/// Writes the events of an egress server to the audit trail.
struct EgressTrail: Sendable {
    let store: any JobStore
    let node: String
    /// Milliseconds since the epoch by the queue's clock.
    let now: @Sendable () -> UInt64
    /// The same by this machine's clock, which the server uses.
    let wall: @Sendable () -> UInt64
    /// Decides on calls of models.
    let admission: ModelAdmission
    let metrics: EgressMetrics
    let logger: Logger
    private let losses = LogThrottle()

    init(
        store: any JobStore, node: String, now: @escaping @Sendable () -> UInt64,
        wall: @escaping @Sendable () -> UInt64, admission: ModelAdmission, metrics: EgressMetrics,
        logger: Logger
    ) {
        self.metrics = metrics
        self.admission = admission
        self.store = store
        self.node = node
        self.now = now
        self.wall = wall
        self.logger = logger
    }

    /// An allowed request that waited for longer than this was refused meanwhile.
    private static let longestWait: Int64 = 2500

    /// Returns the answer to the server once the trail has the event; nil when it has not. A decision that comes too late is
    /// not written: the server has refused the request by then. Events that are lost are counted in the log, in one line a
    /// minute.
    func append(_ event: JSONValue) async -> EgressAcknowledgement? {
        guard let workspace = event["workspace"]?.string.flatMap({ WorkspaceID(ifValid: $0) }) else { return nil }
        var isAllowed = event["decision"]?.string == "allow"
        let isDecision = event["phase"]?.string == "decided"
        let age = Int64(clamping: self.wall()) - (event["time"]?.integer ?? 0)
        guard age <= Self.longestWait || !isDecision || !isAllowed else {
            self.lost("the trail was too slow")
            return nil
        }
        var answer = EgressAcknowledgement()
        var cost: Money?
        if event["door"] == "model" {
            if !isDecision {
                cost = await self.admission.settle(event)
            } else if isAllowed {
                answer = await self.admission.admit(event, of: workspace)
                if Int64(clamping: self.wall()) - (event["time"]?.integer ?? 0) > Self.longestWait {
                    await self.admission.cancel(event)
                    self.lost("the admission was too slow")
                    return nil
                }
                isAllowed = answer.refusal == nil
            }
        }
        var row = AuditEvent(
            kind: .egress, workspace: workspace, actor: "sandbox", action: "egress.\(event["door"]?.string ?? "none")",
            jobID: event["job"]?.string.flatMap { JobID(ifValid: $0) },
            status: !isDecision ? "ended" : isAllowed ? "allowed" : "denied", rule: event["rule"]?.string ?? "",
            duration: .milliseconds(event["duration_ms"]?.integer ?? 0),
            errorReason: answer.refusal?.reason.rawValue ?? event["reason"]?.string ?? "",
            paramsDigest: [], node: self.node,
            // When it happened, by the clock of the trail.
            time: self.now() - min(self.now(), UInt64(max(0, age))))
        row.count = event["count"]?.integer.map { Int(clamping: $0) } ?? 1
        row.connection = Self.connection(event, cost: cost)
        do {
            try await self.store.appendAudit(row.encoded, of: workspace)
            self.metrics.record(event, isAllowed: isAllowed, cost: cost)
            return answer
        } catch {
            self.lost("\(error)")
            // Nothing will be sent.
            if isDecision, isAllowed { await self.admission.cancel(event) }
            return nil
        }
    }

    private func lost(_ reason: String) {
        guard let count = self.losses.note(at: self.wall()) else { return }
        self.logger.warning(
            "events of the egress server are not in the audit trail; the requests that waited for one were refused",
            metadata: ["events.count": "\(count)", "reason": "\(Printable.text(reason, limit: 200))"])
    }

    /// The fields that have no column of their own, without those that are not known.
    private static func connection(_ event: JSONValue, cost: Money?) -> JSONValue {
        let columns: Set<String> = ["time", "workspace", "job", "decision", "reason", "rule", "duration_ms", "count"]
        var members = (event.members ?? []).filter { $0.value != .null && !columns.contains($0.name) }
        if let cost { members.append(JSONMember("cost_microdollars", .integer(Int64(clamping: cost.microdollars)))) }
        return .object(members)
    }
}
