package import Domain
@testable package import Jobs

/// The decisions of the queue as a pure value: the same as those of the server-side functions. Each call gets the time, in
/// milliseconds since the epoch; no call waits.
///
/// `InMemoryJobQueue` is an actor around it and the simulator drives it directly. A test sends the same random calls to it
/// and to the functions and compares all replies.
package struct QueueMachine: Sendable {
    static let bucketMilliseconds: UInt64 = 614_400
    static let deadLimit = 10_000
    static let newestLimit = 10_000
    /// The workspaces with work among which the oldest entry is looked for.
    static let lookedAt = 64
    /// Until when a workspace at its concurrency is parked: no time reaches it, the end of a job unparks the workspace.
    static let noEnd: UInt64 = 9_007_199_254_740_991

    package let limits: QueueLimits
    var streams: [StreamName: Stream] = [:]
    /// Workspaces that wait for their turn, the next one first. In Redis each home has a queue of its own.
    var readyQueue: [WorkspaceID] = []
    /// Workspaces that have or had a home.
    var homes: [WorkspaceID: Home] = [:]
    /// Whether a node has joined, and all have the same files.
    var hasSharedFiles = false
    /// Nodes that left or were declared dead, and when.
    var away: [String: UInt64] = [:]
    /// Levels that may have unread entries.
    var levels: [WorkspaceID: Set<Priority>] = [:]
    /// Workspaces that wait for their limits, and until when.
    var parked: [WorkspaceID: UInt64] = [:]
    /// What is left of a turn that a full node interrupted.
    var credit: [WorkspaceID: Int] = [:]
    /// Turns in which a lower level was passed over.
    var passed: [WorkspaceID: Int] = [:]
    var workspaceLimits: [WorkspaceID: WorkspaceLimits] = [:]
    var rates: [WorkspaceID: RateCredit] = [:]
    /// Running jobs.
    var active: [WorkspaceID: Int] = [:]
    /// Unread entries.
    package internal(set) var depth = 0

    var nodes: [String: Node] = [:]
    var tries: [JobID: Tries] = [:]
    /// Jobs that are to be cancelled, with the audit event of the outcome; empty when the record is cancelled already.
    var cancels: [JobID: [UInt8]] = [:]
    /// Running jobs whose node is to cancel them.
    var cancelling: Set<JobID> = []
    var due: [Delayed] = []
    var progress: [JobID: SealedProgress] = [:]

    var buckets: [BucketName: Bucket] = [:]
    var requests: [WorkspaceID: [[UInt8]: KnownRequest]] = [:]
    var unique: [WorkspaceID: [[UInt8]: JobID]] = [:]
    var uniqueOfJob: [JobID: (workspace: WorkspaceID, digest: [UInt8])] = [:]
    var ticks: [String: UInt64] = [:]
    var newest: [WorkspaceID: [JobID]] = [:]
    var tagged: [WorkspaceID: [JobTag: [JobID]]] = [:]
    var deadLetterEntries: [WorkspaceID: [DeadLetterEntry]] = [:]
    var duplicates = 0
    var refused = 0
    var deadLettersEvicted = 0
    /// Entries of ended jobs that were removed, and members of the set of delayed jobs that are none.
    var refusedEntries = 0

    /// Events of the audit trails, in order, each with the workspace in whose trail it is.
    package internal(set) var auditRows: [(workspace: WorkspaceID?, event: [UInt8])] = []
    /// Events of all audit trails, in order.
    package var audit: [[UInt8]] { self.auditRows.map(\.event) }
    /// Increases when idle nodes are to wake up.
    package internal(set) var wakeUps: UInt64 = 0
    /// Running jobs that are to be cancelled, in the order of the requests.
    package internal(set) var control: [JobID] = []

    /// Workspaces in quarantine, and the reasons.
    var quarantines: [WorkspaceID: String] = [:]
    /// The time of the last call of `moveDue`.
    var clock: UInt64 = 0
    /// When `keepRecords` last ran.
    var keptAt: UInt64 = 0
    static let keepMilliseconds: UInt64 = 300_000
    /// Jobs that were submitted before may have lost their records while they waited, because `keepRecords` did not run.
    var unkept: UInt64 = 0
    /// Whether due jobs of that time are left.
    var hasUnkeptDue = false
    var lastEntry = EntryID(milliseconds: 0, sequence: 0)
    var nextPurge: UInt64 = 0

    /// Creates an empty queue.
    package init(limits: QueueLimits) { self.limits = limits }
}
