internal import Domain
@testable internal import Jobs

/// Streams, entries, nodes and their leases.
extension QueueMachine {
    struct Entry: Sendable, Hashable {
        let id: EntryID
        /// Nil for an entry that does not begin with a job ID.
        let job: JobID?
        let envelope: [UInt8]
    }

    struct StreamName: Hashable, Sendable {
        let workspace: WorkspaceID
        let priority: Priority
    }

    struct Stream: Sendable {
        var unread: [Entry] = []
        /// Delivered and not acknowledged.
        var pending: [EntryID: Entry] = [:]

        var count: Int { self.unread.count + self.pending.count }
    }

    /// The key of a lease in a node's running hash.
    enum LeaseKey: Hashable, Sendable {
        case job(JobID)
        /// An entry without a job ID.
        case entry(EntryReference)
    }

    struct Node: Sendable {
        var incarnation: Incarnation
        var owner: String
        /// When the lease ends, in milliseconds since the epoch.
        var expiry: UInt64
        var held: [LeaseKey: EntryReference] = [:]
        /// Claims with a lower number are refused.
        var fence: UInt64 = 0
    }

    /// The attempts of a job that has not ended.
    struct Tries: Hashable, Sendable {
        var failures = 0
        var crashes = 0
    }

    /// A job that waits for its start or its retry.
    struct Delayed: Sendable {
        /// Milliseconds since the epoch.
        let time: UInt64
        let stream: StreamName
        let job: JobID
        let envelope: [UInt8]
    }

    /// The credit of a workspace's rate. A job costs one period in milliseconds; the credit grows by the rate's count each
    /// millisecond, up to one period's worth of jobs.
    struct RateCredit: Sendable {
        var credit: UInt64
        /// When it was computed, in milliseconds since the epoch.
        var at: UInt64
    }

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

    /// Adds a workspace to the ready queue and wakes idle nodes, unless it is there.
    mutating func enqueueWorkspace(_ workspace: WorkspaceID) {
        guard !self.readyQueue.contains(workspace) else { return }
        self.readyQueue.append(workspace)
        self.wakeUps += 1
    }

    /// Marks a level as having entries. A parked workspace enters the ready queue only when it is unparked.
    mutating func markReady(_ stream: StreamName) {
        self.levels[stream.workspace, default: []].insert(stream.priority)
        if self.parked[stream.workspace] == nil { self.enqueueWorkspace(stream.workspace) }
    }

    mutating func unpark(_ workspace: WorkspaceID) {
        guard self.parked.removeValue(forKey: workspace) != nil, self.levels[workspace] != nil else { return }
        self.enqueueWorkspace(workspace)
    }

    mutating func unparkDue(at now: UInt64) {
        let due = self.parked.filter { $0.value <= now }.sorted { ($0.value, $0.key.name) < ($1.value, $1.key.name) }
        for (workspace, _) in due.prefix(256) { self.unpark(workspace) }
    }

    /// Changes the counts of running jobs per workspace. A workspace parked for its concurrency is unparked by an end.
    mutating func countActive(_ changes: [WorkspaceID: Int]) {
        for (workspace, change) in changes.sorted(by: { $0.key.name < $1.key.name }) {
            if change != 0 {
                let count = (self.active[workspace] ?? 0) + change
                self.active[workspace] = count > 0 ? count : nil
            }
            if change < 0, self.parked[workspace] == Self.noEnd { self.unpark(workspace) }
        }
    }
}
