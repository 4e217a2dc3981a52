internal import Domain

/// What a node holds: every delivery from its claim to its completion. Pure; `RunRegistry` is its mailbox.
struct Holdings {
    private struct Held {
        let job: JobID?
        /// What its run is ended with as soon as there is one.
        var cancellation: CancellationReason?
    }

    /// A question about what the queue knows, under way.
    struct Reconciliation: Hashable {
        fileprivate let number: Int
    }

    private let capacity: Int
    private var held: [EntryReference: Held] = [:]
    private(set) var countsByWorkspace: [WorkspaceID: Int] = [:]
    /// What was released while a question was under way, by question.
    private var releasedMeanwhile: [Reconciliation: Set<EntryReference>] = [:]
    private var nextReconciliation = 0

    init(capacity: Int) { self.capacity = capacity }

    /// Slots that claims in progress may fill.
    private var reserved = 0
    /// The lanes that want a slot and were refused one, the longest-waiting first.
    private var waitingLanes: [Int] = []

    var count: Int { self.held.count }
    var free: Int { max(0, self.capacity - self.held.count - self.reserved) }

    /// Reserves free slots for a lane's claim: at least one when there is one for it, at most `most`, at most an equal
    /// part of what is free among the lanes that wait. Lanes are served in the order in which they were refused, and one
    /// slot is left for each lane that has waited longer. Zero means that the lane waits now. The caller returns what
    /// it got with `unreserve` after its claim.
    mutating func reserve(_ most: Int, for lane: Int) -> Int {
        let position = self.waitingLanes.firstIndex(of: lane) ?? self.waitingLanes.count
        if position == self.waitingLanes.count { self.waitingLanes.append(lane) }
        let share = max(1, self.free / self.waitingLanes.count)
        let count = max(0, min(most, share, self.free - position))
        guard count > 0 else { return 0 }
        self.waitingLanes.remove(at: position)
        self.reserved += count
        return count
    }

    /// Returns the slots of a claim that has been answered.
    mutating func unreserve(_ count: Int) { self.reserved -= count }

    /// The lane wants no slot now: it has no work, or its Redis is away. Lanes behind it move up.
    mutating func withdraw(lane: Int) { self.waitingLanes.removeAll { $0 == lane } }

    /// The lanes that find a slot if they ask now.
    var servableLanes: ArraySlice<Int> { self.waitingLanes.prefix(self.free) }

    func entries(where belongs: (WorkspaceID) -> Bool) -> Set<EntryReference> {
        Set(self.held.keys.filter { belongs($0.workspace) })
    }

    /// From now until the answer is admitted, what is released is remembered: the answer may be older than a
    /// completion, and its deliveries must not be taken for new ones.
    mutating func beginReconciliation() -> Reconciliation {
        self.nextReconciliation += 1
        let reconciliation = Reconciliation(number: self.nextReconciliation)
        self.releasedMeanwhile[reconciliation] = []
        return reconciliation
    }

    /// The question got no answer.
    mutating func abandon(_ reconciliation: Reconciliation) { self.releasedMeanwhile[reconciliation] = nil }

    /// Notes deliveries as held; those that were held already, or released since the question, are left out of the
    /// answer.
    mutating func admit(_ deliveries: [Delivery], answering reconciliation: Reconciliation? = nil) -> [Delivery] {
        let released = reconciliation.flatMap { self.releasedMeanwhile.removeValue(forKey: $0) } ?? []
        return deliveries.filter { delivery in
            guard self.held[delivery.entry] == nil, !released.contains(delivery.entry) else { return false }
            self.held[delivery.entry] = Held(job: delivery.jobID)
            self.countsByWorkspace[delivery.workspace, default: 0] += 1
            return true
        }
    }

    /// The deliveries are no longer held, one way or another.
    mutating func release(_ entries: [EntryReference]) {
        for entry in entries where self.held.removeValue(forKey: entry) != nil {
            for key in self.releasedMeanwhile.keys { self.releasedMeanwhile[key]?.insert(entry) }
            let left = (self.countsByWorkspace[entry.workspace] ?? 1) - 1
            self.countsByWorkspace[entry.workspace] = left > 0 ? left : nil
        }
    }

    /// A reason when the entry's run must not begin: it was cancelled, or the lease was lost, before.
    func refusal(of entry: EntryReference) -> CancellationReason? {
        guard let held = self.held[entry] else { return .leaseLost }
        return held.cancellation
    }

    /// Marks what is held of the job; the entries whose runs are to be ended.
    mutating func cancel(_ job: JobID, _ reason: CancellationReason) -> [EntryReference] {
        let entries = self.held.filter { $0.value.job == job && $0.value.cancellation == nil }.map(\.key)
        for entry in entries { self.held[entry]?.cancellation = reason }
        return entries
    }

    /// The same for all that is held of a workspace.
    mutating func cancel(_ workspace: WorkspaceID, _ reason: CancellationReason) -> [EntryReference] {
        let entries = self.held.filter { $0.key.workspace == workspace && $0.value.cancellation == nil }.map(\.key)
        for entry in entries { self.held[entry]?.cancellation = reason }
        return entries
    }

    /// Marks those of `asked` that are not among the entries that the queue knew when it was asked: nothing of them may
    /// be written. The entries whose runs are to be ended.
    mutating func dropLost(asked: Set<EntryReference>, known: Set<EntryReference>) -> [EntryReference] {
        let lost = asked.subtracting(known).filter { self.held[$0] != nil }
        // Also over an earlier reason.
        for entry in lost { self.held[entry]?.cancellation = .leaseLost }
        return Array(lost)
    }
}
