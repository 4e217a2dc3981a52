/// A token bucket: so many at once, and so many more each second.
struct MessageRate: Sendable {
    private let burst: Double
    private let perSecond: Double
    private var tokens: Double
    private var last: ContinuousClock.Instant?

    init(burst: Double, perSecond: Double) {
        self.burst = burst
        self.perSecond = perSecond
        self.tokens = burst
    }

    /// Takes one; false when none is left.
    mutating func take(at now: ContinuousClock.Instant) -> Bool {
        if let last = self.last {
            let passed = last.duration(to: now).components
            let seconds = Double(passed.seconds) + Double(passed.attoseconds) / 1e18
            self.tokens = min(self.burst, self.tokens + max(0, seconds) * self.perSecond)
        }
        self.last = now
        guard self.tokens >= 1 else { return false }
        self.tokens -= 1
        return true
    }
}
