internal import Domain
@testable internal import Jobs

/// Records, request IDs and what is kept of a job in addition to its record.
extension QueueMachine {
    /// Records of jobs that were submitted within one span of time. They expire together.
    struct Bucket: Sendable {
        var records: [JobID: StoredRecord] = [:]
        /// Milliseconds since the epoch.
        var expiry: UInt64
    }

    struct BucketName: Hashable, Sendable {
        let workspace: WorkspaceID
        let number: UInt64
    }

    /// What is remembered of a request ID.
    struct KnownRequest: Sendable {
        let job: JobID
        let paramsDigest: [UInt8]
    }

    struct DeadLetterEntry: Sendable {
        let id: EntryID
        let job: JobID?
        let priority: Priority
        let envelope: [UInt8]
        let record: StoredRecord
        /// The digest of the job's unique key, if it has one.
        var unique: [UInt8]?
    }

    static func bucket(of job: JobID, in workspace: WorkspaceID) -> BucketName {
        BucketName(workspace: workspace, number: job.milliseconds / self.bucketMilliseconds)
    }

    func record(_ job: JobID, in workspace: WorkspaceID) -> StoredRecord? {
        self.buckets[Self.bucket(of: job, in: workspace)]?.records[job]
    }

    mutating func setRecord(_ job: JobID, in workspace: WorkspaceID, _ record: StoredRecord, at now: UInt64) {
        let expiry = now + self.retention + Self.bucketMilliseconds
        let name = Self.bucket(of: job, in: workspace)
        self.buckets[name, default: Bucket(expiry: expiry)].records[job] = record
        // The retention counts from the last write, so from the end of a job and not from its submission.
        self.keep(name, until: expiry)
    }

    /// Extends the lifetime of a bucket.
    mutating func keep(_ name: BucketName, until expiry: UInt64) {
        if let before = self.buckets[name]?.expiry, before < expiry { self.buckets[name]?.expiry = expiry }
    }

    /// Extends the lifetime of the records of waiting and running jobs.
    mutating func keepRecords(at now: UInt64) {
        let expiry = now + self.retention + Self.bucketMilliseconds
        for (name, stream) in self.streams {
            let waiting = stream.unread.compactMap(\.job) + stream.pending.values.compactMap(\.job)
            for job in waiting { self.keep(Self.bucket(of: job, in: name.workspace), until: expiry) }
        }
    }

    /// The time before which jobs were submitted that may have lost their records while they waited, because nothing kept
    /// them; 0 when there are none.
    func unkeptBefore(at now: UInt64) -> UInt64 {
        let longest = self.retention + Self.bucketMilliseconds - Self.keepMilliseconds
        return now >= self.keptAt && now - self.keptAt >= longest ? now : self.unkept
    }

    /// Returns whether a job is without a record because it ended long ago; false for an entry without a job ID.
    func isExpired(_ job: JobID?, in workspace: WorkspaceID, at now: UInt64) -> Bool {
        guard let job, self.record(job, in: workspace) == nil else { return false }
        let end = job.milliseconds + self.retention + Self.bucketMilliseconds
        return end < now && job.milliseconds >= self.unkeptBefore(at: now)
    }

    var retention: UInt64 { UInt64(clamping: self.limits.retention.milliseconds) }

    /// Removes expired records and request IDs, at most once a minute.
    mutating func purge(at now: UInt64) {
        guard now >= self.nextPurge else { return }
        self.nextPurge = now + 60_000
        self.buckets = self.buckets.filter { $0.value.expiry > now }
        let memory = UInt64(clamping: self.limits.idempotency.milliseconds)
        self.requests = self.requests.compactMapValues { known in
            let kept = known.filter { $0.value.job.milliseconds + memory > now }
            return kept.isEmpty ? nil : kept
        }
    }

    /// Removes the side records of a job that has ended in a state.
    mutating func removeSideRecords(of job: JobID, endedAs state: JobState) {
        self.tries[job] = nil
        self.progress[job] = nil
        self.cancels[job] = nil
        self.cancelling.remove(job)
        // An unresolved job may run again, so it keeps its unique key.
        if state != .unresolved, let unique = self.uniqueOfJob.removeValue(forKey: job) {
            self.unique[unique.workspace]?[unique.digest] = nil
        }
    }

    /// Returns the node that holds the job now.
    func runner(of job: JobID) -> String? {
        let runners = self.nodes.filter { $0.value.held[.job(job)] != nil }
        return runners.min { ($0.value.expiry, $0.key) < ($1.value.expiry, $1.key) }?.key
    }
}
