package import Domain
@testable package import Jobs

/// Reading.
extension QueueMachine {
    /// Returns a job; see `JobStore.job`.
    package func job(_ job: JobID, in workspace: WorkspaceID) -> JobRecord? {
        guard let record = self.record(job, in: workspace) else { return nil }
        let mayRun = record.state == .available || record.state == .retryable
        let tries = self.tries[job] ?? Tries()
        return record.jobRecord(
            id: job, runner: mayRun ? self.runner(of: job) ?? "" : "", failures: tries.failures,
            crashes: tries.crashes, progress: self.progress[job])
    }

    /// Returns the newest jobs of a workspace; see `JobStore.jobs`.
    package func jobs(in workspace: WorkspaceID, limit: Int, tag: JobTag?, after: JobID? = nil) -> [JobRecord] {
        var list = Array(((tag.map { self.tagged[workspace]?[$0] } ?? self.newest[workspace]) ?? []).reversed())
        if let after {
            guard let index = list.firstIndex(of: after) else { return [] }
            list.removeFirst(index + 1)
        }
        return Array(list.lazy.compactMap { self.job($0, in: workspace)?.withoutResult }.prefix(limit))
    }

    /// Returns depth, age and counters.
    package func statistics(at now: UInt64) -> QueueStatistics {
        var statistics = QueueStatistics()
        statistics.waiting = max(0, self.depth)
        // The first of each ready queue; in Redis each home has one.
        let queues = Dictionary(grouping: self.readyQueue) { self.home(of: $0) }
        let each = max(1, Self.lookedAt / max(1, queues.count))
        let oldest = queues.values.flatMap { $0.prefix(each) }.flatMap { workspace in
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
        statistics.stranded = self.strandedCount
        return statistics
    }

    /// The jobs of a workspace that nodes hold; see `JobStore.running`.
    package func running(in workspace: WorkspaceID) -> [JobID] {
        self.nodes.values.flatMap(\.held).compactMap { key, reference in
            guard case .job(let job) = key, reference.workspace == workspace else { return nil }
            return job
        }
    }
}
