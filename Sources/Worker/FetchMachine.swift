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
    }

    private(set) var hasJoined = false
    private var mayHoldUnknown = false
    private var isDraining = false
    private var claims: UInt64 = 0

    /// A claim of the last run may have been cut off.
    mutating func began() { self.mayHoldUnknown = self.hasJoined }
    mutating func drained() { self.isDraining = true }
    mutating func joined() {
        self.hasJoined = true
        self.mayHoldUnknown = false
    }
    mutating func heardHeld() { self.mayHoldUnknown = false }
    /// A call got no answer.
    mutating func failed() { self.mayHoldUnknown = self.hasJoined }
    /// The queue does not know the node.
    mutating func forgotten() { self.hasJoined = false }

    /// A reluctant node claims nothing.
    mutating func next(isReluctant: Bool) -> Step {
        if self.isDraining { return .wait }
        if !self.hasJoined { return .join }
        if self.mayHoldUnknown { return .askHeld(fence: self.claims + 1) }
        guard !isReluctant else { return .wait }
        self.claims += 1
        return .claim(number: self.claims)
    }
}
