internal import Cryptography
package import Domain

/// A job that was validated and allowed, ready to be sealed and stored.
package struct Submission: Sendable {
    package let job: Job
    package var priority: Priority
    package var start: JobStart
    /// While a job with this key has not ended, no other job with it is accepted.
    package var uniqueKey: String?
    /// The tick of a schedule that this job is for. A tick makes at most one job.
    package var tick: ScheduleTick?
    /// The audit event of the accepted request; stored with the job in one step.
    package let auditEvent: [UInt8]

    /// Takes the parts as given; seals and stores nothing.
    package init(
        job: Job, priority: Priority = .normal, start: JobStart = .now, uniqueKey: String? = nil,
        tick: ScheduleTick? = nil, auditEvent: [UInt8]
    ) {
        self.job = job
        self.priority = priority
        self.start = start
        self.uniqueKey = uniqueKey
        self.tick = tick
        self.auditEvent = auditEvent
    }

    /// Returns the form that the queue stores: a sealed envelope, and keyed digests instead of what submitters choose, so
    /// that a reader of Redis cannot confirm a guess. Throws `CryptographyError`.
    package func sealed(with key: WorkspaceKey) throws -> SealedSubmission {
        let job = self.job
        func digest(_ purpose: String, _ bytes: [UInt8], length: Int) throws -> [UInt8] {
            Array(try Digests.hmacSHA256(key: key.digestKey, Array(purpose.utf8) + [0] + bytes).prefix(length))
        }
        return SealedSubmission(
            id: job.id, workspace: job.workspace, action: job.action, priority: self.priority, start: self.start,
            tags: job.tags, requestDigest: try digest("request", job.requestID.uuid.bytes, length: 16),
            paramsDigest: try digest("params", Array(job.action.name.utf8) + [0] + job.params, length: 12),
            uniqueDigest: try self.uniqueKey.map { try digest("unique", Array($0.utf8), length: 16) },
            tick: self.tick, envelope: try JobEnvelope.seal(job, with: key), keyID: key.id, keyStamp: key.stamp,
            sealedTerms: try JobEnvelope.seal(terms: job.terms, of: job, with: key), auditEvent: self.auditEvent)
    }
}
