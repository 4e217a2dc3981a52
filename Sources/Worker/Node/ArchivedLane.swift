internal import Domain
internal import Jobs

/// How far one lane is archived.
struct ArchivedLane {
    let queue: RedisStreamJobQueue
    let number: Int
    /// The trails to look at; the first is that of the events of no workspace.
    private(set) var trails = [""]
    private var known: Set<WorkspaceID> = []
    /// What is on disk, and Redis does not know yet.
    var notes: [TrailBatch.Note] = []
    /// How many entries the trails had when they were last read to their ends; nil when another node may have read them.
    var swept: Int?
    var holdsLease = false
    /// How many entries were not archived when they were last counted; 0 when another node archives.
    var waiting = 0
    private var scannedAt: UInt64 = 0
    private var idleSince = 0

    private static let scanInterval: UInt64 = 30_000
    /// Trails are read this often although no entry was counted: entries that were written past the queue are not.
    private static let mostIdlePasses = 30

    init(queue: RedisStreamJobQueue, number: Int) {
        self.queue = queue
        self.number = number
    }

    mutating func isSweepDue(_ written: Int) -> Bool {
        self.idleSince += 1
        guard self.swept != written || self.idleSince >= Self.mostIdlePasses else { return false }
        self.idleSince = 0
        return true
    }

    mutating func isScanDue(at now: UInt64) -> Bool {
        guard self.scannedAt == 0 || now < self.scannedAt || now - self.scannedAt >= Self.scanInterval else {
            return false
        }
        self.scannedAt = now
        return true
    }

    mutating func add(_ workspaces: [WorkspaceID]) {
        for workspace in workspaces where self.known.insert(workspace).inserted { self.trails.append(workspace.name) }
    }

    /// Keeps the last entry of each trail, which is noted with the next call.
    mutating func note(_ entries: [TrailBatch.Entry]) {
        for entry in entries {
            if let index = self.notes.firstIndex(where: { $0.trail == entry.trail }) {
                self.notes[index].id = entry.id
                self.notes[index].count += 1
            } else {
                self.notes.append(TrailBatch.Note(trail: entry.trail, id: entry.id, count: 1))
            }
        }
    }
}
