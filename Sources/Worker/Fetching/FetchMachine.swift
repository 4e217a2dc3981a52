/// Decides the next call of a consumer to the queue. A pure state machine; `Consumer` is the actor around it.
struct FetchMachine: Hashable {
    enum Step: Hashable {
        /// Join the queue under the node's name.
        case join
        /// Query the held entries: the answer to a claim was lost, and only the queue has its entries. The queue refuses
        /// claims with a number below the fence from then on.
        case askHeld(fence: UInt64)
        /// Claim entries for the slots that can be reserved.
        case claim(number: UInt64)
        /// Wait for a signal.
        case wait

        /// Whether the lane stays in the list of lanes that wait for a slot.
        var wantsSlot: Bool {
            switch self {
            case .claim: true
            case .join, .askHeld, .wait: false
            }
        }
    }

    private(set) var hasJoined = false
    private var mayHoldUnknown = false
    private var isDraining = false
    private var claims: UInt64 = 0
    /// The last claim left no workspace with work, and the bell has not rung since it was sent.
    private var isQueueEmpty = false
    private var hasRungSinceClaim = false

    /// The consumer starts. A claim of its previous run may have been interrupted.
    mutating func began() { self.failed() }
    /// The node drains: there are no more claims.
    mutating func drained() { self.isDraining = true }
    /// The node has joined; the answer listed all held entries.
    mutating func joined() {
        self.hasJoined = true
        self.isQueueEmpty = false
        self.mayHoldUnknown = false
    }
    /// The query of the held entries was answered.
    mutating func receivedHeld() { self.mayHoldUnknown = false }
    /// A call failed, so its effect is unknown.
    mutating func failed() {
        self.mayHoldUnknown = self.hasJoined
        self.isQueueEmpty = false
    }
    /// There may be new work.
    mutating func rang() {
        self.isQueueEmpty = false
        self.hasRungSinceClaim = true
    }
    /// A claim was answered; `hasMore` when workspaces with work remain.
    mutating func claimed(hasMore: Bool) { self.isQueueEmpty = !hasMore && !self.hasRungSinceClaim }
    /// The queue does not know the node.
    mutating func forgotten() { self.hasJoined = false }

    /// The next step. A paused node joins and queries, but claims nothing.
    mutating func next(isPaused: Bool) -> Step {
        if self.isDraining { return .wait }
        if !self.hasJoined { return .join }
        if self.mayHoldUnknown { return .askHeld(fence: self.claims + 1) }
        guard !isPaused, !self.isQueueEmpty else { return .wait }
        self.claims += 1
        self.hasRungSinceClaim = false
        return .claim(number: self.claims)
    }
}
