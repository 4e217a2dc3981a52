/// What a consumer asks of the queue next. Pure; `Consumer` is its mailbox.
struct FetchMachine: Hashable {
    enum Step: Hashable {
        case join
        /// What was given in an answer that was lost is known to the queue alone.
        /// Claims below the fence are not to be carried out any more.
        case askHeld(fence: UInt64)
        /// Into what slots can be had.
        case claim(number: UInt64)
        case wait

        /// Whether the lane keeps its place among those that wait for a slot.
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
    /// Nobody stood in line when the last claim was answered, and the bell has not rung since it was sent.
    private var isLineEmpty = false
    private var hasRungSince = false

    /// A claim of the last run may have been cut off.
    mutating func began() { self.failed() }
    mutating func drained() { self.isDraining = true }
    mutating func joined() {
        self.hasJoined = true
        self.isLineEmpty = false
        self.mayHoldUnknown = false
    }
    mutating func heardHeld() { self.mayHoldUnknown = false }
    /// A call got no answer.
    mutating func failed() {
        self.mayHoldUnknown = self.hasJoined
        self.isLineEmpty = false
    }
    /// Something may have come in line.
    mutating func rang() {
        self.isLineEmpty = false
        self.hasRungSince = true
    }
    /// A claim was answered.
    mutating func claimed(hasMore: Bool) { self.isLineEmpty = !hasMore && !self.hasRungSince }
    /// The queue does not know the node.
    mutating func forgotten() { self.hasJoined = false }

    /// A reluctant node claims nothing.
    mutating func next(isPaused: Bool) -> Step {
        if self.isDraining { return .wait }
        if !self.hasJoined { return .join }
        if self.mayHoldUnknown { return .askHeld(fence: self.claims + 1) }
        guard !isPaused, !self.isLineEmpty else { return .wait }
        self.claims += 1
        self.hasRungSince = false
        return .claim(number: self.claims)
    }
}
