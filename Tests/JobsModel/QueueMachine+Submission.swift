package import Domain
@testable package import Jobs

/// Submitting.
extension QueueMachine {
    /// Stores jobs. Returns one result per job, in order.
    package mutating func submit(_ submissions: [SealedSubmission], at now: UInt64) -> [SubmissionResult] {
        self.purge(at: now)
        return submissions.map { self.submit($0, at: now) }
    }

    private mutating func submit(_ submission: SealedSubmission, at now: UInt64) -> SubmissionResult {
        let workspace = submission.workspace
        let memory = UInt64(clamping: self.limits.idempotency.milliseconds)
        if let before = self.requests[workspace]?[submission.requestDigest], before.job.milliseconds + memory > now {
            guard before.paramsDigest == submission.paramsDigest else { return .conflict(first: before.job) }
            self.duplicates += 1
            return .duplicate(before.job, state: self.stateNow(before.job, in: workspace))
        }
        if let tick = submission.tick, self.ticks[tick.name] ?? 0 >= tick.time {
            self.duplicates += 1
            return .duplicate(submission.id, state: nil)
        }
        if self.quarantines[workspace] != nil { return .quarantined }
        if let digest = submission.uniqueDigest, let taken = self.unique[workspace]?[digest] {
            return .notUnique(taken, state: self.stateNow(taken, in: workspace))
        }
        let stream = StreamName(workspace: workspace, priority: submission.priority)
        let time = submission.start.time(at: now) ?? 0
        let state: JobState = time > now ? .scheduled : .available
        guard self.streams[stream]?.count ?? 0 < self.limits.streamLength,
            state != .scheduled
                || self.due.count(where: { $0.stream.workspace == workspace }) < self.limits.streamLength
        else {
            self.refused += 1
            return .full
        }
        self.requests[workspace, default: [:]][submission.requestDigest] = KnownRequest(
            job: submission.id, paramsDigest: submission.paramsDigest)
        self.setRecord(submission.id, in: workspace, StoredRecord(submission, state: state), at: now)
        if state == .scheduled {
            let bucket = Self.bucket(of: submission.id, in: workspace)
            let expiry = time + self.retention + Self.bucketMilliseconds
            if let before = self.buckets[bucket]?.expiry, before < expiry { self.buckets[bucket]?.expiry = expiry }
            self.due.append(Delayed(time: time, stream: stream, job: submission.id, envelope: submission.envelope))
        } else {
            self.addEntry(stream, job: submission.id, envelope: submission.envelope, at: now)
            self.markReady(stream)
        }
        if let digest = submission.uniqueDigest {
            self.unique[workspace, default: [:]][digest] = submission.id
            self.uniqueOfJob[submission.id] = (workspace, digest)
        }
        if let tick = submission.tick { self.ticks[tick.name] = tick.time }
        self.newest[workspace] = self.listed(submission.id, in: workspace, after: self.newest[workspace] ?? [])
        for tag in submission.tags {
            self.tagged[workspace, default: [:]][tag] = self.listed(
                submission.id, in: workspace, after: self.tagged[workspace]?[tag] ?? [])
        }
        self.auditRows.append((workspace, submission.auditEvent))
        return .accepted(submission.id)
    }

    /// A list with another job, without the oldest whose records have expired, but with all of the newest.
    private func listed(_ job: JobID, in workspace: WorkspaceID, after list: [JobID]) -> [JobID] {
        let list = list + [job]
        let most = max(0, min(2, list.count - Self.newestLimit))
        let expired = list.prefix(most).prefix { self.record($0, in: workspace) == nil }
        return Array(list.dropFirst(expired.count))
    }

    /// Returns the time of a schedule's last tick, which is now for a new schedule.
    package mutating func lastTick(of schedule: ScheduleTick, at now: UInt64) -> UInt64 {
        let last = self.ticks[schedule.name] ?? now
        self.ticks[schedule.name] = last
        return last
    }

    /// Stores an audit event that belongs to no job.
    package mutating func appendAudit(_ event: [UInt8], of workspace: WorkspaceID?) {
        self.auditRows.append((workspace, event))
    }

    /// Returns the audit trail and empties it.
    package mutating func takeAudit() -> [[UInt8]] {
        defer { self.auditRows = [] }
        return self.audit
    }

    /// The state of a job, `running` while a node holds it.
    private func stateNow(_ job: JobID, in workspace: WorkspaceID) -> JobState? {
        guard let state = self.record(job, in: workspace)?.state else { return nil }
        let isOpen = state == .available || state == .retryable
        return isOpen && self.nodes.values.contains { $0.held[.job(job)] != nil } ? .running : state
    }
}
