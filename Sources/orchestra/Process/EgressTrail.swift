import Audit
import Domain
import Jobs
import Logging

/// Writes the events of an egress server to the audit trail.
struct EgressTrail: Sendable {
    let store: any JobStore
    let node: String
    /// Milliseconds since the epoch by the queue's clock.
    let now: @Sendable () -> UInt64
    /// The same by this machine's clock, which the server uses.
    let wall: @Sendable () -> UInt64
    let logger: Logger

    /// An allowed request that waited for longer than this was refused meanwhile.
    private static let longestWait: Int64 = 2500

    /// Returns whether the trail has the event. A decision that comes too late is not written: the server has refused the
    /// request by then.
    func append(_ event: JSONValue) async -> Bool {
        guard let workspace = event["workspace"]?.string.flatMap({ WorkspaceID(ifValid: $0) }) else { return false }
        let isAllowed = event["decision"]?.string == "allow"
        let isDecision = event["phase"]?.string == "decided"
        let age = Int64(clamping: self.wall()) - (event["time"]?.integer ?? 0)
        guard age <= Self.longestWait || !isDecision || !isAllowed else { return false }
        var row = AuditEvent(
            kind: .egress, workspace: workspace, actor: "sandbox", action: "egress.\(event["door"]?.string ?? "none")",
            jobID: event["job"]?.string.flatMap(Self.job),
            status: !isAllowed ? "denied" : isDecision ? "allowed" : "ended", rule: event["rule"]?.string ?? "",
            duration: .milliseconds(event["duration_ms"]?.integer ?? 0), errorReason: event["reason"]?.string ?? "",
            paramsDigest: [], node: self.node, time: self.now())
        row.connection = Self.connection(event)
        do {
            try await self.store.appendAudit(row.encoded, of: workspace)
            return true
        } catch {
            self.logger.debug("an event of the egress server is not in the audit trail", error: error)
            return false
        }
    }

    private static func job(_ text: String) -> JobID? {
        do throws(DomainError) { return try JobID(text) } catch { return nil }
    }

    /// The fields that have no column of their own, without those that are not known.
    private static func connection(_ event: JSONValue) -> JSONValue {
        let columns: Set<String> = ["time", "workspace", "job", "decision", "reason", "rule", "duration_ms"]
        return .object((event.members ?? []).filter { $0.value != .null && !columns.contains($0.name) })
    }
}
