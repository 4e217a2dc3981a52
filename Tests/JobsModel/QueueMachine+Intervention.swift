package import Domain
@testable package import Jobs

/// What people do to jobs and workspaces.
extension QueueMachine {
    /// Cancels a job; see `JobStore.cancel`.
    package mutating func cancel(
        _ job: JobID, in workspace: WorkspaceID, request: [UInt8], outcome: [UInt8], at now: UInt64
    ) -> JobState? {
        guard var record = self.record(job, in: workspace) else { return nil }
        let state = record.state
        if state.isFinal { return state }
        self.auditRows.append((workspace, request))
        if self.runner(of: job) != nil {
            self.cancels[job] = outcome
            self.cancelling.insert(job)
            self.control.append(job)
            return .running
        }
        record.state = .cancelled
        record.ended = now
        record.reason = Self.cancelledByUser
        self.setRecord(job, in: workspace, record, at: now)
        self.auditRows.append((workspace, outcome))
        self.removeSideRecords(of: job, endedAs: .cancelled)
        self.cancels[job] = []
        return state
    }

    /// Returns the newest dead letters of a workspace.
    package func deadLetters(in workspace: WorkspaceID, limit: Int) -> [DeadLetter] {
        (self.deadLetterEntries[workspace] ?? []).reversed().prefix(limit).map { $0.deadLetter(withOutput: false) }
    }

    /// Returns the dead letter of a job with its output.
    package func deadLetter(_ job: JobID, in workspace: WorkspaceID) -> DeadLetter? {
        self.deadLetterEntry(job, in: workspace)?.deadLetter(withOutput: true)
    }

    private func deadLetterEntry(_ job: JobID, in workspace: WorkspaceID) -> DeadLetterEntry? {
        self.deadLetterEntries[workspace]?.last { $0.job == job }
    }

    /// Requeues the job of a dead letter; see `JobStore.requeue`.
    package mutating func requeue(
        _ job: JobID, in workspace: WorkspaceID, auditEvent: [UInt8], at now: UInt64
    ) -> DeadLetterResult {
        guard let deadLetter = self.deadLetterEntry(job, in: workspace) else { return .absent }
        guard deadLetter.record.state != .unresolved else { return .isUnresolved }
        if let digest = deadLetter.unique {
            if let holder = self.unique[workspace]?[digest], holder != job { return .isTaken }
            self.unique[workspace, default: [:]][digest] = job
            self.uniqueOfJob[job] = (workspace, digest)
        }
        self.requeue(deadLetter, job, in: workspace, auditEvent, at: now)
        return .done
    }

    private mutating func requeue(
        _ deadLetter: DeadLetterEntry, _ job: JobID, in workspace: WorkspaceID, _ auditEvent: [UInt8], at now: UInt64
    ) {
        let before = self.record(job, in: workspace) ?? deadLetter.record
        self.setRecord(
            job, in: workspace,
            StoredRecord(state: .available, action: before.action, tags: before.tags, terms: before.terms), at: now)
        self.tries[job] = nil
        let stream = StreamName(workspace: workspace, priority: deadLetter.priority)
        self.addEntry(stream, job: job, envelope: deadLetter.envelope, at: now)
        self.deadLetterEntries[workspace]?.removeAll { $0.id == deadLetter.id }
        self.markReady(stream)
        self.auditRows.append((workspace, auditEvent))
    }

    /// Removes a dead letter; see `JobStore.drop`.
    package mutating func drop(_ job: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) -> DeadLetterResult {
        guard let deadLetter = self.deadLetterEntry(job, in: workspace) else { return .absent }
        guard deadLetter.record.state != .unresolved else { return .isUnresolved }
        self.deadLetterEntries[workspace]?.removeAll { $0.id == deadLetter.id }
        self.auditRows.append((workspace, auditEvent))
        return .done
    }

    /// Records a decision on an unresolved job; see `JobStore.resolve`.
    package mutating func resolve(
        _ job: JobID, in workspace: WorkspaceID, as resolution: Resolution, reason: String, auditEvent: [UInt8],
        at now: UInt64
    ) -> Bool {
        guard let deadLetter = self.deadLetterEntry(job, in: workspace), deadLetter.record.state == .unresolved else {
            return false
        }
        if resolution == .retry {
            self.requeue(deadLetter, job, in: workspace, auditEvent, at: now)
            return true
        }
        var record = self.record(job, in: workspace) ?? deadLetter.record
        record.state = resolution.state
        record.ended = now
        record.reason = reason
        self.setRecord(job, in: workspace, record, at: now)
        self.deadLetterEntries[workspace]?.removeAll { $0.id == deadLetter.id }
        self.removeSideRecords(of: job, endedAs: resolution.state)
        self.auditRows.append((workspace, auditEvent))
        return true
    }

    /// Sets or removes a workspace's limits.
    package mutating func setLimits(_ limits: WorkspaceLimits?, of workspace: WorkspaceID, auditEvent: [UInt8]) {
        self.workspaceLimits[workspace] = limits
        self.rates[workspace] = nil
        self.credit[workspace] = nil
        self.unpark(workspace)
        self.auditRows.append((workspace, auditEvent))
    }

    /// Starts or ends a quarantine; see `JobStore.quarantine`.
    package mutating func quarantine(_ workspace: WorkspaceID, reason: String?, auditEvent: [UInt8]) -> Bool {
        let before = self.quarantines[workspace]
        self.quarantines[workspace] = reason.map { $0.isEmpty ? "not given" : $0 }
        if reason == nil { self.unpark(workspace) }
        self.auditRows.append((workspace, auditEvent))
        return (before == nil) != (reason == nil)
    }

    /// The workspaces in quarantine, by name.
    package var quarantined: [Quarantine] {
        self.quarantines.map { Quarantine(workspace: $0.key.name, reason: $0.value) }
            .sorted { $0.workspace < $1.workspace }
    }

    /// The workspaces with limits of their own, by name.
    package var loads: [WorkspaceLoad] {
        self.workspaceLimits.map { workspace, limits in
            WorkspaceLoad(workspace: workspace.name, limits: limits, running: self.active[workspace] ?? 0)
        }.sorted { $0.workspace < $1.workspace }
    }
}

extension QueueMachine.DeadLetterEntry {
    fileprivate func deadLetter(withOutput: Bool) -> DeadLetter {
        DeadLetter(
            job: self.job ?? JobID(uuid: UUIDBytes(high: 0, low: 0)), state: self.record.state,
            action: self.record.action, reason: self.record.reason,
            sealedOutput: withOutput ? self.record.result : [], since: self.record.ended)
    }
}
