package import Domain
@testable package import Jobs

/// What is lost, and how it is found.
extension QueueMachine {
    /// Loses the member of a delayed job, as when Redis lost a part of its set.
    package mutating func loseDelayed(_ job: JobID) { self.due.removeAll { $0.job == job } }

    /// Jobs that wait for something that is gone: an entry, or their time. Ordered by job ID.
    package var lostJobs: [LostJob] {
        var kept = Set(self.due.map(\.job))
        for stream in self.streams.values {
            kept.formUnion(stream.unread.compactMap(\.job))
            kept.formUnion(stream.pending.values.compactMap(\.job))
        }
        let lost = self.buckets.flatMap { name, bucket in
            bucket.records.filter { Self.waiting.contains($0.value.state) && !kept.contains($0.key) }
                .map { LostJob(id: $0.key, workspace: name.workspace, action: $0.value.action) }
        }
        return lost.filter { self.runner(of: $0.id) == nil }.sorted { $0.id.description < $1.id.description }
    }

    private static let waiting: Set<JobState> = [.available, .scheduled, .retryable]

    /// Ends jobs whose entry or time is lost; returns their number. See `JobQueue.lose`.
    package mutating func lose(
        _ jobs: [(job: LostJob, auditEvent: [UInt8])], reason: String, at now: UInt64
    ) -> Int {
        let lost = Set(self.lostJobs.map(\.id))
        var count = 0
        for (job, event) in jobs where lost.contains(job.id) {
            guard var record = self.record(job.id, in: job.workspace) else { continue }
            record.state = .lost
            record.ended = now
            record.reason = reason
            self.setRecord(job.id, in: job.workspace, record, at: now)
            self.removeSideRecords(of: job.id, endedAs: .lost)
            self.auditRows.append((job.workspace, event))
            count += 1
        }
        return count
    }
}
