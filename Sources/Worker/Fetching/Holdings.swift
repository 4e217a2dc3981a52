internal import Domain

/// The deliveries that a node holds, each from its claim to its completion. A pure state machine; `RunRegistry` is the actor
/// around it.
struct Holdings {
    private struct Held {
        let job: JobID?
        /// The reason with which its run is cancelled when it starts; nil while it may run.
        var cancellation: CancellationReason?
    }

    /// A query of what the queue records for this node, while the answer is outstanding.
    struct Reconciliation: Hashable {
        fileprivate let number: Int
    }

    private let capacity: Int
    private var held: [EntryReference: Held] = [:]
    private(set) var countsByWorkspace: [WorkspaceID: Int] = [:]
    /// The entries released during each reconciliation.
    private var releasedMeanwhile: [Reconciliation: Set<EntryReference>] = [:]
    private var nextReconciliation = 0

    init(capacity: Int) { self.capacity = capacity }

    /// The slots reserved by claims in progress.
    private var reserved = 0
    /// The lanes that were refused a slot and wait for one, the longest waiting first.
    private var waitingLanes: [Int] = []

    var count: Int { self.held.count }
    var free: Int { max(0, self.capacity - self.held.count - self.reserved) }

    /// Reserves free slots for a claim of a lane and returns their number: at most `most`, and at most an equal share of
    /// the free slots among the waiting lanes. Lanes are served in the order in which they were refused; one slot is left
    /// for each lane that has waited longer. After a return of zero the lane is in the list of waiting lanes. The caller
    /// returns the slots with `unreserve` after its claim.
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

    /// Returns the reserved slots of a claim that has ended.
    mutating func unreserve(_ count: Int) { self.reserved -= count }

    /// Removes the lane from the waiting lanes: it has no work, or its Redis is unavailable.
    mutating func withdraw(lane: Int) { self.waitingLanes.removeAll { $0 == lane } }

    /// The waiting lanes for which a slot is free now.
    var servableLanes: ArraySlice<Int> { self.waitingLanes.prefix(self.free) }

    /// The held entries of the workspaces that `belongs` selects.
    func entries(where belongs: (WorkspaceID) -> Bool) -> Set<EntryReference> {
        Set(self.held.keys.filter { belongs($0.workspace) })
    }

    /// Starts a reconciliation. Until its answer is admitted or it is abandoned, released entries are recorded: the answer
    /// may be older than a completion, and must not add its delivery again.
    mutating func beginReconciliation() -> Reconciliation {
        self.nextReconciliation += 1
        let reconciliation = Reconciliation(number: self.nextReconciliation)
        self.releasedMeanwhile[reconciliation] = []
        return reconciliation
    }

    /// Ends a reconciliation that got no answer.
    mutating func abandon(_ reconciliation: Reconciliation) { self.releasedMeanwhile[reconciliation] = nil }

    /// Adds deliveries to the held ones and returns those that are new: not held before, and not released since the start
    /// of the reconciliation.
    mutating func admit(_ deliveries: [Delivery], answering reconciliation: Reconciliation? = nil) -> [Delivery] {
        let released = reconciliation.flatMap { self.releasedMeanwhile.removeValue(forKey: $0) } ?? []
        return deliveries.filter { delivery in
            guard self.held[delivery.entry] == nil, !released.contains(delivery.entry) else { return false }
            self.held[delivery.entry] = Held(job: delivery.jobID)
            self.countsByWorkspace[delivery.workspace, default: 0] += 1
            return true
        }
    }

    /// Removes entries from the held ones, after their completion or their loss.
    mutating func release(_ entries: [EntryReference]) {
        for entry in entries where self.held.removeValue(forKey: entry) != nil {
            for key in self.releasedMeanwhile.keys { self.releasedMeanwhile[key]?.insert(entry) }
            let left = (self.countsByWorkspace[entry.workspace] ?? 1) - 1
            self.countsByWorkspace[entry.workspace] = left > 0 ? left : nil
        }
    }

    /// Why the entry must not run: it was cancelled, or its lease was lost. Nil if it may run.
    func refusal(of entry: EntryReference) -> CancellationReason? {
        guard let held = self.held[entry] else { return .leaseLost }
        return held.cancellation
    }

    /// Marks the held entries of a job as cancelled. Returns those whose runs the caller must cancel.
    mutating func cancel(_ job: JobID, _ reason: CancellationReason) -> [EntryReference] {
        let entries = self.held.filter { $0.value.job == job && $0.value.cancellation == nil }.map(\.key)
        for entry in entries { self.held[entry]?.cancellation = reason }
        return entries
    }

    /// Marks the held entries of a workspace as cancelled. Returns those whose runs the caller must cancel.
    mutating func cancel(_ workspace: WorkspaceID, _ reason: CancellationReason) -> [EntryReference] {
        let entries = self.held.filter { $0.key.workspace == workspace && $0.value.cancellation == nil }.map(\.key)
        for entry in entries { self.held[entry]?.cancellation = reason }
        return entries
    }

    /// Marks the entries of `asked`, which were held before the query, that are not in `known`, its answer: their leases
    /// are lost, and nothing of them may be written. Returns those whose runs the caller must cancel.
    mutating func dropLost(asked: Set<EntryReference>, known: Set<EntryReference>) -> [EntryReference] {
        let lost = asked.subtracting(known).filter { self.held[$0] != nil }
        // A lost lease replaces an earlier reason.
        for entry in lost { self.held[entry]?.cancellation = .leaseLost }
        return Array(lost)
    }
}
