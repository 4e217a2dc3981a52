package import Domain
internal import Redaction

/// One row of the audit trail, stored as a line of JSON.
///
/// It never contains the full params, only their keyed digest, which the holder of the key can check.
package struct AuditEvent: Hashable, Sendable {
    /// What a row records.
    package enum Kind: String, Hashable, Sendable {
        /// A request was accepted into the queue.
        case submitted = "job.submitted"
        /// A request was refused before the queue.
        case denied = "job.denied"
        /// A job ended; each job has exactly one.
        case outcome = "job.outcome"
        /// A run failed and will be retried.
        case attempt = "job.attempt"
        /// A cancellation of a job was requested.
        case cancelRequested = "job.cancel"
        /// A dead letter was put back in line.
        case requeued = "job.requeued"
        /// A dead letter was dropped.
        case dropped = "job.dropped"
        /// The unknown outcome of a job was resolved.
        case resolved = "job.resolved"
        /// Input was typed into an agent's terminal.
        case typed = "agent.input"
        /// A caller changed the size of an agent's terminal.
        case resized = "agent.resized"
        /// An agent's processes were frozen.
        case frozen = "agent.frozen"
        /// An agent's processes were thawed.
        case thawed = "agent.thawed"
        /// A person or the node's security watch put a workspace into quarantine, or released it.
        case quarantined = "workspace.quarantined"
        /// A principal released a workspace from quarantine.
        case released = "workspace.released"
        /// A workspace began on another node than the one that has its files.
        case moved = "workspace.moved"
        /// A person set or ended the home of a workspace.
        case homeChanged = "workspace.home"
        /// The security watch found a process outside its sandbox, an unknown client at a terminal, or changed permissions.
        case incident = "security.incident"
        /// A workspace's weight or limits were changed.
        case limitsSet = "workspace.limits"
        /// An operator brings files of a workspace out or in, or has done so.
        case files = "workspace.files"
        /// A request to the API was decided; each request has one, whatever its result.
        case request = "api.request"
        case keyCreated = "key.created"
        case keyRevoked = "key.revoked"
        /// Tokens with valid signatures were revoked.
        case tokensRevoked = "tokens.revoked"
        /// A connection of a sandbox was decided, or has ended.
        case egress = "egress.request"
        /// A share of a budget was reached.
        case budgetReached = "budget.reached"
        /// A budget was set or removed.
        case budgetChanged = "budget.changed"
        /// A credential for a service outside was stored, replaced or removed.
        case credentialChanged = "credential.changed"
    }

    /// How much a transfer of files moved.
    package struct Transfer: Hashable, Sendable {
        /// Bytes of the archive.
        package var bytes: Int
        /// Entries of the archive.
        package var entries: Int

        /// Takes the numbers as given.
        package init(bytes: Int, entries: Int) {
            self.bytes = bytes
            self.entries = entries
        }
    }

    package var kind: Kind
    /// Nil when the request had no valid credential.
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
    /// The request's id in logs and responses.
    package var requestID = ""
    /// The network address of the request.
    package var address = ""
    /// How many events of this kind the row stands for.
    package var count = 1
    /// What is known of a connection of a sandbox, as an object.
    package var connection: JSONValue?
    /// What was moved, for a transfer of files.
    package var transfer: Transfer?

    /// Takes the parts as given; leaves the params prefix, request ID and address empty, and the count at 1.
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
            // A reason quotes what the client sent, such as the name of a param; a secret among it is redacted.
            writer.write(text: Redactor.redacted(self.errorReason))
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
        if let connection = self.connection {
            writer.raw(",\"connection\":")
            writer.write(connection.redacted())
        }
        if let transfer = self.transfer {
            writer.raw(",\"files\":{\"bytes\":\(transfer.bytes),\"entries\":\(transfer.entries)}")
        }
        if self.count != 1 { writer.raw(",\"count\":\(self.count)") }
        if !self.node.isEmpty {
            writer.raw(",\"node\":")
            writer.write(text: self.node)
        }
        writer.raw("}")
        return writer.bytes
    }
}
