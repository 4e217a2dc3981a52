package import Domain
@testable package import Jobs

/// Out of the queue: outcomes, and what people do to jobs and workspaces.
extension QueueMachine {
    package mutating func finish(_ completions: [Completion], as node: NodeIdentity, at now: UInt64) -> [Bool] {
        var active: [WorkspaceID: Int] = [:]
        let written = completions.map { completion in
            let reference = completion.delivery.entry
            let entry = Entry(
                id: reference.id, job: completion.delivery.jobID, envelope: completion.delivery.envelope)
            let key = Self.leaseKey(entry, reference)
            guard self.isCurrent(node), self.nodes[node.node.name]?.held[key] == reference else { return false }
            self.nodes[node.node.name]?.held[key] = nil
            active[reference.workspace, default: 0] -= 1
            // Another entry of the job has ended it: its outcome stands.
            guard !self.hasEnded(entry.job, in: reference.workspace) else {
                self.dropEntry(StreamName(workspace: reference.workspace, priority: reference.priority), entry.id)
                self.refusedEntries += 1
                return false
            }
            self.write(completion, entry, node: node.node, at: now)
            return true
        }
        self.countActive(active)
        return written
    }

    func hasEnded(_ job: JobID?, in workspace: WorkspaceID) -> Bool {
        job.flatMap { self.record($0, in: workspace) }.map { $0.state.isFinal || $0.state == .unresolved } ?? false
    }

    private mutating func write(_ completion: Completion, _ entry: Entry, node: NodeID, at now: UInt64) {
        let reference = completion.delivery.entry
        let stream = StreamName(workspace: reference.workspace, priority: reference.priority)
        var record = StoredRecord(completion, node: node)
        self.dropEntry(stream, entry.id)
        switch completion.end {
        case .completed, .cancelled, .discarded, .unresolved:
            record.ended = now
            if completion.end == .discarded || completion.end == .unresolved {
                self.add_dead_letter(stream, entry, record, at: now)
            }
            if let job = entry.job { self.ended(job, completion.end.state) }
        case .released:
            self.addEntry(stream, job: entry.job, envelope: entry.envelope, at: now)
            self.markReady(stream)
        case .retry(let delay):
            guard let job = entry.job else { break }
            self.tries[job] = Tries(failures: completion.failures, crashes: completion.crashes)
            let time = now + UInt64(clamping: max(0, delay.milliseconds))
            self.due.append(Delayed(time: time, stream: stream, job: job, envelope: entry.envelope))
        }
        if let job = entry.job { self.setRecord(job, in: reference.workspace, record, at: now) }
        if !completion.auditEvent.isEmpty { self.audit.append(completion.auditEvent) }
    }

    private mutating func add_dead_letter(_ stream: StreamName, _ entry: Entry, _ record: StoredRecord, at now: UInt64) {
        let letter = Letter(
            id: self.nextEntryID(at: now), job: entry.job, priority: stream.priority, envelope: entry.envelope,
            record: record,
            unique: record.state == .discarded ? entry.job.flatMap { self.uniqueOfJob[$0]?.digest } : nil)
        let letters = self.dead[stream.workspace] ?? []
        // Of too many the oldest goes, but none that somebody has to decide about.
        if letters.count >= Self.deadLimit,
            let oldest = letters.prefix(256).firstIndex(where: { $0.record.state != .unresolved })
        {
            self.dead[stream.workspace]?.remove(at: oldest)
            self.deadLettersEvicted += 1
        }
        self.dead[stream.workspace, default: []].append(letter)
    }

    package mutating func noteProgress(
        _ progress: JobProgress, of job: JobID, as node: NodeIdentity, at now: UInt64
    ) -> Bool {
        guard self.isCurrent(node), self.nodes[node.node.name]?.held[.job(job)] != nil else { return false }
        self.progress[job] = JobProgress(percent: progress.percent, text: progress.text, time: now)
        return true
    }

    // MARK: - People

    package mutating func cancel(
        _ job: JobID, in workspace: WorkspaceID, request: [UInt8], outcome: [UInt8], at now: UInt64
    ) -> JobState? {
        guard var record = self.record(job, in: workspace) else { return nil }
        let state = record.state
        if state.isFinal { return state }
        self.audit.append(request)
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
        self.audit.append(outcome)
        self.ended(job, .cancelled)
        self.cancels[job] = []
        return state
    }

    package func deadLetters(in workspace: WorkspaceID, limit: Int) -> [DeadLetter] {
        (self.dead[workspace] ?? []).reversed().prefix(limit).map { $0.shown(withOutput: false) }
    }

    package func deadLetter(_ job: JobID, in workspace: WorkspaceID) -> DeadLetter? {
        self.letter(job, in: workspace)?.shown(withOutput: true)
    }

    private func letter(_ job: JobID, in workspace: WorkspaceID) -> Letter? {
        self.dead[workspace]?.last { $0.job == job }
    }

    package mutating func requeue(
        _ job: JobID, in workspace: WorkspaceID, auditEvent: [UInt8], at now: UInt64
    ) -> DeadLetterResult {
        guard let letter = self.letter(job, in: workspace) else { return .absent }
        guard letter.record.state != .unresolved else { return .isUnresolved }
        if let digest = letter.unique {
            if let holder = self.unique[workspace]?[digest], holder != job { return .isTaken }
            self.unique[workspace, default: [:]][digest] = job
            self.uniqueOfJob[job] = (workspace, digest)
        }
        self.revive(letter, job, in: workspace, auditEvent, at: now)
        return .done
    }

    private mutating func revive(
        _ letter: Letter, _ job: JobID, in workspace: WorkspaceID, _ auditEvent: [UInt8], at now: UInt64
    ) {
        let before = self.record(job, in: workspace) ?? letter.record
        self.setRecord(
            job, in: workspace, StoredRecord(state: .available, action: before.action, tags: before.tags), at: now)
        self.tries[job] = nil
        let stream = StreamName(workspace: workspace, priority: letter.priority)
        self.addEntry(stream, job: job, envelope: letter.envelope, at: now)
        self.dead[workspace]?.removeAll { $0.id == letter.id }
        self.markReady(stream)
        self.audit.append(auditEvent)
    }

    package mutating func drop(_ job: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) -> DeadLetterResult {
        guard let letter = self.letter(job, in: workspace) else { return .absent }
        guard letter.record.state != .unresolved else { return .isUnresolved }
        self.dead[workspace]?.removeAll { $0.id == letter.id }
        self.audit.append(auditEvent)
        return .done
    }

    package mutating func resolve(
        _ job: JobID, in workspace: WorkspaceID, as resolution: Resolution, reason: String, auditEvent: [UInt8],
        at now: UInt64
    ) -> Bool {
        guard let letter = self.letter(job, in: workspace), letter.record.state == .unresolved else { return false }
        if resolution == .retry {
            self.revive(letter, job, in: workspace, auditEvent, at: now)
            return true
        }
        var record = self.record(job, in: workspace) ?? letter.record
        record.state = resolution.state
        record.ended = now
        record.reason = reason
        self.setRecord(job, in: workspace, record, at: now)
        self.dead[workspace]?.removeAll { $0.id == letter.id }
        self.ended(job, resolution.state)
        self.audit.append(auditEvent)
        return true
    }

    package mutating func setLimits(_ limits: WorkspaceLimits?, of workspace: WorkspaceID, auditEvent: [UInt8]) {
        self.workspaceLimits[workspace] = limits
        self.rates[workspace] = nil
        self.credit[workspace] = nil
        self.unpark(workspace)
        self.audit.append(auditEvent)
    }

    package mutating func quarantine(_ workspace: WorkspaceID, reason: String?, auditEvent: [UInt8]) -> Bool {
        let before = self.quarantines[workspace]
        self.quarantines[workspace] = reason.map { $0.isEmpty ? "not given" : $0 }
        if reason == nil { self.unpark(workspace) }
        self.audit.append(auditEvent)
        return (before == nil) != (reason == nil)
    }

    package var quarantined: [Quarantine] {
        self.quarantines.map { Quarantine(workspace: $0.key.name, reason: $0.value) }
            .sorted { $0.workspace < $1.workspace }
    }

    package var loads: [WorkspaceLoad] {
        self.workspaceLimits.map { workspace, limits in
            WorkspaceLoad(workspace: workspace.name, limits: limits, running: self.active[workspace] ?? 0)
        }.sorted { $0.workspace < $1.workspace }
    }

    // MARK: - Reading

    package func job(_ job: JobID, in workspace: WorkspaceID) -> JobRecord? {
        guard let record = self.record(job, in: workspace) else { return nil }
        let mayRun = record.state == .available || record.state == .retryable
        let tries = self.tries[job] ?? Tries()
        return record.shown(
            id: job, runner: mayRun ? self.runner(of: job) ?? "" : "", failures: tries.failures,
            crashes: tries.crashes, progress: self.progress[job])
    }

    package func jobs(in workspace: WorkspaceID, limit: Int, tag: JobTag?, after: JobID? = nil) -> [JobRecord] {
        var list = Array(((tag.map { self.tagged[workspace]?[$0] } ?? self.newest[workspace]) ?? []).reversed())
        if let after {
            guard let place = list.firstIndex(of: after) else { return [] }
            list.removeFirst(place + 1)
        }
        return Array(list.lazy.compactMap { self.job($0, in: workspace)?.withoutResult }.prefix(limit))
    }

    package func statistics(at now: UInt64) -> QueueStatistics {
        var statistics = QueueStatistics()
        statistics.waiting = max(0, self.depth)
        let oldest = self.line.prefix(64).flatMap { workspace in
            Priority.allCases.compactMap { priority -> UInt64? in
                let stream = self.streams[StreamName(workspace: workspace, priority: priority)]
                let ids = [stream?.unread.first?.id] + (stream?.pending.keys.map { $0 } ?? [])
                return ids.compactMap { $0?.milliseconds }.min()
            }
        }.min()
        statistics.oldestAge = .milliseconds(now - min(now, oldest ?? now))
        statistics.running = self.nodes.values.reduce(0) { $0 + $1.held.count }
        statistics.delayed = self.due.count
        statistics.parked = self.parked.count
        statistics.duplicates = self.duplicates
        statistics.refused = self.refused
        statistics.deadLettersEvicted = self.deadLettersEvicted
        statistics.refusedEntries = self.refusedEntries
        return statistics
    }
}

extension QueueMachine.Letter {
    fileprivate func shown(withOutput: Bool) -> DeadLetter {
        DeadLetter(
            job: self.job ?? JobID(uuid: UUIDBytes(high: 0, low: 0)), state: self.record.state,
            action: self.record.action, reason: self.record.reason,
            sealedOutput: withOutput ? self.record.result : [], since: self.record.ended)
    }
}
