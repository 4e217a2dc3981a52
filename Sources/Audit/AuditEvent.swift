package import Domain

/// One row of the audit trail, stored as a line of JSON.
///
/// A row never contains full params, only their keyed digest, which can be verified with the key.
package struct AuditEvent: Hashable, Sendable {
    /// What a row records.
    package enum Kind: String, Hashable, Sendable {
        /// A request was accepted into the queue.
        case submitted = "job.submitted"
        /// A request was refused before the queue.
        case denied = "job.denied"
        /// A job ended; each job has exactly one.
        case outcome = "job.outcome"
        /// A run failed and the job will be retried.
        case attempt = "job.attempt"
        /// A principal requested the cancellation of a job.
        case cancelRequested = "job.cancel"
        /// A principal requeued a dead letter.
        case requeued = "job.requeued"
        /// A principal removed a dead letter.
        case dropped = "job.dropped"
        /// A principal decided on an unresolved job.
        case resolved = "job.resolved"
        /// A principal typed into an agent's terminal.
        case typed = "agent.input"
        /// A principal froze an agent's processes.
        case frozen = "agent.frozen"
        /// A principal thawed them.
        case thawed = "agent.thawed"
        /// A principal, or the node's watch, put a workspace into quarantine.
        case quarantined = "workspace.quarantined"
        /// A principal released a workspace from quarantine.
        case released = "workspace.released"
        /// The watch found an incident: a process outside its sandbox, an unknown terminal client, changed permissions.
        case incident = "security.incident"
        /// A principal changed a workspace's weight or limits.
        case limitsSet = "workspace.limits"
        /// The API decided on a request; each request has exactly one.
        case request = "api.request"
        case keyCreated = "key.created"
        case keyRevoked = "key.revoked"
        /// Tokens were revoked although their signatures are valid.
        case tokensRevoked = "tokens.revoked"
    }

    package var kind: Kind
    /// Nil when no credential was valid.
    package var workspace: WorkspaceID?
    package var actor: String
    package var action: String
    package var jobID: JobID?
    package var status: String
    /// The rule that allowed or denied.
    package var rule: String
    /// How long the run or the request took.
    package var duration: Duration
    package var errorReason: String
    /// See `ParamsDigester`; empty when there are no params.
    package var paramsDigest: [UInt8]
    package var node: String
    /// Milliseconds since the epoch, by the queue's clock.
    package var time: UInt64
    /// The first part of the params, with masked values.
    package var paramsPrefix = ""
    /// The ID of the request in logs and responses.
    package var requestID = ""
    /// The address of the client.
    package var address = ""

    package init(
        kind: Kind, workspace: WorkspaceID?, actor: String, action: String, jobID: JobID?, status: String, rule: String,
        duration: Duration, errorReason: String, paramsDigest: [UInt8], node: String, time: UInt64
    ) {
        self.kind = kind
        self.workspace = workspace
        self.actor = actor
        self.action = action
        self.jobID = jobID
        self.status = status
        self.rule = rule
        self.duration = duration
        self.errorReason = errorReason
        self.paramsDigest = paramsDigest
        self.node = node
        self.time = time
    }

    private static let version: Int64 = 1

    /// The row as one line of JSON, without a newline.
    package var encoded: [UInt8] {
        var writer = JSONWriter(capacity: 384)
        writer.raw("{\"v\":\(Self.version),\"kind\":")
        writer.write(text: self.kind.rawValue)
        writer.raw(",\"time\":\(self.time)")
        if let workspace = self.workspace {
            writer.raw(",\"workspace\":")
            writer.write(text: workspace.name)
        }
        writer.raw(",\"actor\":")
        writer.write(text: self.actor)
        writer.raw(",\"action\":")
        writer.write(text: self.action)
        if let jobID = self.jobID {
            writer.raw(",\"job_id\":")
            writer.write(text: jobID.description)
        }
        writer.raw(",\"status\":")
        writer.write(text: self.status)
        writer.raw(",\"rule\":")
        writer.write(text: self.rule)
        writer.raw(
            ",\"duration_ms\":\(self.duration.components.seconds * 1000 + self.duration.components.attoseconds / 1_000_000_000_000_000)"
        )
        if !self.errorReason.isEmpty {
            writer.raw(",\"error_reason\":")
            writer.write(text: self.errorReason)
        }
        if !self.paramsDigest.isEmpty {
            writer.raw(",\"params_hmac\":\"\(Hexadecimal.text(of: self.paramsDigest))\"")
        }
        for (name, text) in [
            ("params_prefix64", self.paramsPrefix), ("request_id", self.requestID), ("address", self.address),
        ] where !text.isEmpty {
            writer.raw(",\"\(name)\":")
            writer.write(text: text)
        }
        if !self.node.isEmpty {
            writer.raw(",\"node\":")
            writer.write(text: self.node)
        }
        writer.raw("}")
        return writer.bytes
    }
}
