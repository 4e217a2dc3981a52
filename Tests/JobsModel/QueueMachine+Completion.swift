package import Domain
@testable package import Jobs

/// Outcomes.
extension QueueMachine {
    /// Writes outcomes and acknowledges their entries; see `JobQueue.finish`.
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
            // The job has ended through another entry, and that outcome remains.
            guard !self.hasEnded(entry.job, in: reference.workspace) else {
                self.dropEntry(StreamName(workspace: reference.workspace, priority: reference.priority), entry.id)
                self.refusedEntries += 1
                return false
            }
            self.write(completion, entry, node: node.node, at: now)
            if completion.leavesHome { self.leaveHome(of: reference.workspace, node: node.node.name) }
            return true
        }
        self.countActive(active)
        return written
    }

    /// Returns whether a job has ended; false for an entry without a job ID.
    func hasEnded(_ job: JobID?, in workspace: WorkspaceID) -> Bool {
        job.flatMap { self.record($0, in: workspace) }.map { $0.state.isFinal || $0.state == .unresolved } ?? false
    }

    private mutating func write(_ completion: Completion, _ entry: Entry, node: NodeID, at now: UInt64) {
        let reference = completion.delivery.entry
        let stream = StreamName(workspace: reference.workspace, priority: reference.priority)
        var record = StoredRecord(completion, node: node)
        // A node that did not open the job does not know what it is.
        if record.action.isEmpty, let stored = entry.job.flatMap({ self.record($0, in: reference.workspace) }) {
            (record.action, record.tags, record.terms) = (stored.action, stored.tags, stored.terms)
        }
        self.dropEntry(stream, entry.id)
        switch completion.end {
        case .completed, .cancelled, .discarded, .unresolved:
            record.ended = now
            if completion.end == .discarded || completion.end == .unresolved {
                self.addDeadLetter(stream, entry, record, at: now)
            }
            if let job = entry.job { self.removeSideRecords(of: job, endedAs: completion.end.state) }
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
        if !completion.auditEvent.isEmpty { self.auditRows.append((reference.workspace, completion.auditEvent)) }
    }

    private mutating func addDeadLetter(_ stream: StreamName, _ entry: Entry, _ record: StoredRecord, at now: UInt64) {
        let deadLetter = DeadLetterEntry(
            id: self.nextEntryID(at: now), job: entry.job, priority: stream.priority, envelope: entry.envelope,
            record: record,
            unique: record.state == .discarded ? entry.job.flatMap { self.uniqueOfJob[$0]?.digest } : nil)
        let kept = self.deadLetterEntries[stream.workspace] ?? []
        // At the limit the oldest is evicted, but none that is unresolved.
        if kept.count >= Self.deadLimit,
            let oldest = kept.prefix(256).firstIndex(where: { $0.record.state != .unresolved })
        {
            self.deadLetterEntries[stream.workspace]?.remove(at: oldest)
            self.deadLettersEvicted += 1
        }
        self.deadLetterEntries[stream.workspace, default: []].append(deadLetter)
    }

    /// Stores the progress of a job; see `JobQueue.noteProgress`.
    package mutating func noteProgress(
        _ progress: SealedProgress, of job: JobID, as node: NodeIdentity, at now: UInt64
    ) -> Bool {
        guard self.isCurrent(node), self.nodes[node.node.name]?.held[.job(job)] != nil else { return false }
        self.progress[job] = SealedProgress(
            percent: progress.percent, sealedText: progress.sealedText, time: now)
        return true
    }
}
