package import Domain
@testable package import Jobs

/// The queue's decisions, pure: the same as those of the functions in Redis, over values in memory. Time comes in with
/// each call, in milliseconds since the epoch; nothing waits.
///
/// `InMemoryJobQueue` is its mailbox, the simulator drives it directly, and the tests hold it equal to the functions by
/// random sequences of calls.
package struct QueueMachine: Sendable {
    struct Entry: Sendable, Hashable {
        let id: EntryID
        /// Nil for an entry that carries none.
        let job: JobID?
        let envelope: [UInt8]
    }

    struct StreamName: Hashable, Sendable {
        let workspace: WorkspaceID
        let priority: Priority
    }

    struct Stream: Sendable {
        var unread: [Entry] = []
        /// Delivered, not acknowledged.
        var pending: [EntryID: Entry] = [:]

        var count: Int { self.unread.count + self.pending.count }
    }

    /// What names a lease in a node's running hash.
    enum LeaseKey: Hashable, Sendable {
        case job(JobID)
        /// A second entry of a job that is held.
        case repeated(JobID, EntryID)
        case entry(EntryReference)
    }

    struct Node: Sendable {
        var incarnation: Incarnation
        var owner: String
        var expiry: UInt64
        var held: [LeaseKey: EntryReference] = [:]
        /// Claims of lower numbers were given up.
        var fence: UInt64 = 0
    }

    struct Tries: Hashable, Sendable {
        var failures = 0
        var crashes = 0
    }

    struct Delayed: Sendable {
        let time: UInt64
        let stream: StreamName
        let job: JobID
        let envelope: [UInt8]
    }

    struct Letter: Sendable {
        let id: EntryID
        let job: JobID?
        let priority: Priority
        let envelope: [UInt8]
        let record: StoredRecord
        /// The digest of the unique key that it had.
        var unique: [UInt8]?
    }

    struct RateCredit: Sendable {
        /// A job costs a period; the bucket holds a period's worth of the rate and fills by the rate each millisecond.
        var credit: UInt64
        var at: UInt64
    }

    struct Bucket: Sendable {
        var records: [JobID: StoredRecord] = [:]
        var expiry: UInt64
    }

    struct RequestMemory: Sendable {
        let job: JobID
        let paramsDigest: [UInt8]
    }

    struct BucketName: Hashable, Sendable {
        let workspace: WorkspaceID
        let number: UInt64
    }

    static let bucketMilliseconds: UInt64 = 614_400
    static let deadLimit = 10_000
    static let newestLimit = 10_000
    /// Where a workspace at its concurrency stands among the parked: only an end takes it out.
    static let forever: UInt64 = 9_007_199_254_740_991

    package let limits: QueueLimits
    var streams: [StreamName: Stream] = [:]
    /// Workspaces that wait for their turn, the first in line first.
    var line: [WorkspaceID] = []
    /// Levels of urgency that may have unread entries.
    var levels: [WorkspaceID: Set<Priority>] = [:]
    var parked: [WorkspaceID: UInt64] = [:]
    var credit: [WorkspaceID: Int] = [:]
    var passed: [WorkspaceID: Int] = [:]
    var workspaceLimits: [WorkspaceID: WorkspaceLimits] = [:]
    var rates: [WorkspaceID: RateCredit] = [:]
    var active: [WorkspaceID: Int] = [:]
    package internal(set) var depth = 0

    var nodes: [String: Node] = [:]
    var tries: [JobID: Tries] = [:]
    /// Jobs that are to be cancelled, with the outcome's event; empty for those whose record says it already.
    var cancels: [JobID: [UInt8]] = [:]
    var cancelling: Set<JobID> = []
    var due: [Delayed] = []
    var progress: [JobID: JobProgress] = [:]

    var buckets: [BucketName: Bucket] = [:]
    var requests: [WorkspaceID: [[UInt8]: RequestMemory]] = [:]
    var unique: [WorkspaceID: [[UInt8]: JobID]] = [:]
    var uniqueOfJob: [JobID: (workspace: WorkspaceID, digest: [UInt8])] = [:]
    var ticks: [String: UInt64] = [:]
    var newest: [WorkspaceID: [JobID]] = [:]
    var tagged: [WorkspaceID: [JobTag: [JobID]]] = [:]
    var dead: [WorkspaceID: [Letter]] = [:]
    var duplicates = 0
    var refused = 0
    var deadLettersEvicted = 0
    /// Entries of jobs that had ended.
    var refusedEntries = 0

    /// Events of the audit trail, in order.
    package internal(set) var audit: [[UInt8]] = []
    /// Rises with every ring for nodes that have nothing to do.
    package internal(set) var bell: UInt64 = 0
    /// Jobs whose nodes are to cancel them, in the order of the wishes.
    package internal(set) var control: [JobID] = []

    /// Workspaces that get nothing done, and why.
    var quarantines: [WorkspaceID: String] = [:]
    /// What time it was when what is due was last looked for.
    var clock: UInt64 = 0
    /// When the records of what waits or runs were seen to last.
    var keptAt: UInt64 = 0
    static let keepMilliseconds: UInt64 = 300_000
    private var lastEntry = EntryID(milliseconds: 0, sequence: 0)
    private var nextPurge: UInt64 = 0

    package init(limits: QueueLimits) { self.limits = limits }

    // MARK: - Entries

    mutating func nextEntryID(at now: UInt64) -> EntryID {
        self.lastEntry =
            now > self.lastEntry.milliseconds
            ? EntryID(milliseconds: now, sequence: 0)
            : EntryID(milliseconds: self.lastEntry.milliseconds, sequence: self.lastEntry.sequence + 1)
        return self.lastEntry
    }

    mutating func addEntry(_ stream: StreamName, job: JobID?, envelope: [UInt8], at now: UInt64) {
        let entry = Entry(id: self.nextEntryID(at: now), job: job, envelope: envelope)
        self.streams[stream, default: Stream()].unread.append(entry)
        self.depth += 1
    }

    mutating func dropEntry(_ stream: StreamName, _ id: EntryID) {
        self.streams[stream]?.pending[id] = nil
    }

    /// Puts a workspace in line for its turn.
    mutating func enterLine(_ workspace: WorkspaceID) {
        guard !self.line.contains(workspace) else { return }
        self.line.append(workspace)
        self.bell += 1
    }

    mutating func markReady(_ stream: StreamName) {
        self.levels[stream.workspace, default: []].insert(stream.priority)
        if self.parked[stream.workspace] == nil { self.enterLine(stream.workspace) }
    }

    mutating func unpark(_ workspace: WorkspaceID) {
        guard self.parked.removeValue(forKey: workspace) != nil, self.levels[workspace] != nil else { return }
        self.enterLine(workspace)
    }

    mutating func unparkDue(at now: UInt64) {
        let due = self.parked.filter { $0.value <= now }.sorted { ($0.value, $0.key.name) < ($1.value, $1.key.name) }
        for (workspace, _) in due.prefix(256) { self.unpark(workspace) }
    }

    mutating func countActive(_ changes: [WorkspaceID: Int]) {
        for (workspace, change) in changes.sorted(by: { $0.key.name < $1.key.name }) {
            if change != 0 {
                let count = (self.active[workspace] ?? 0) + change
                self.active[workspace] = count > 0 ? count : nil
            }
            if change < 0, self.parked[workspace] == Self.forever { self.unpark(workspace) }
        }
    }

    // MARK: - Records

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
        // Kept for as long after the last that was written: ends count, and not submissions.
        self.keep(name, until: expiry)
    }

    mutating func keep(_ name: BucketName, until expiry: UInt64) {
        if let before = self.buckets[name]?.expiry, before < expiry { self.buckets[name]?.expiry = expiry }
    }

    /// What waits or runs keeps its record for however long.
    mutating func keepRecords(at now: UInt64) {
        let expiry = now + self.retention + Self.bucketMilliseconds
        for (name, stream) in self.streams {
            let waiting = stream.unread.compactMap(\.job) + stream.pending.values.compactMap(\.job)
            for job in waiting { self.keep(Self.bucket(of: job, in: name.workspace), until: expiry) }
        }
    }

    var retention: UInt64 { UInt64(clamping: self.limits.retention.milliseconds) }

    /// Lets go of what is past its time; now and then, since nobody hears of it.
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

    /// What is kept of a job beside its record goes when it ends.
    mutating func ended(_ job: JobID, _ state: JobState) {
        self.tries[job] = nil
        self.progress[job] = nil
        self.cancels[job] = nil
        self.cancelling.remove(job)
        // What waits for a person may yet run: nobody else takes its place.
        if state != .unresolved, let unique = self.uniqueOfJob.removeValue(forKey: job) {
            self.unique[unique.workspace]?[unique.digest] = nil
        }
    }

    /// The node that runs the job now.
    func runner(of job: JobID) -> String? {
        let runners = self.nodes.filter { $0.value.held[.job(job)] != nil }
        return runners.min { ($0.value.expiry, $0.key) < ($1.value.expiry, $1.key) }?.key
    }
}
