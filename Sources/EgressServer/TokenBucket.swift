internal import NIOCore

/// A rate: so many at once, and so many more each second.
struct TokenBucket {
    private let burst: Int64
    private let perSecond: Int64
    /// What is left, in billionths.
    private var left: Int64
    private var filledAt: NIODeadline?

    private static let one: Int64 = 1_000_000_000

    /// Begins full. `burst` is below a thousand million.
    init(burst: Int, perSecond: Int) {
        self.burst = Int64(burst)
        self.perSecond = Int64(perSecond)
        self.left = Int64(burst) * Self.one
    }

    /// Takes one; false when none is left.
    mutating func take(at now: NIODeadline) -> Bool {
        if let filledAt = self.filledAt, now > filledAt {
            // No more than a full bucket is worth, so that the product is bounded.
            let time = min((now - filledAt).nanoseconds, self.burst * Self.one)
            self.left = min(self.burst * Self.one, self.left + time * self.perSecond)
        }
        self.filledAt = now
        guard self.left >= Self.one else { return false }
        self.left -= Self.one
        return true
    }
}
