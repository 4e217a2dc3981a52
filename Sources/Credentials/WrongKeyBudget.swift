/// How many wrong keys each address may still try: a bucket of tokens that fills by whole seconds.
///
/// Only wrong keys take from it, and an empty bucket keeps no good key out.
struct WrongKeyBudget {
    private struct Bucket {
        var left: Double
        var at: ContinuousClock.Instant
    }

    let burst: Double
    let perSecond: Double
    /// Addresses remembered at most.
    let capacity: Int
    private var buckets: [String: Bucket] = [:]

    init(burst: Double, perSecond: Double, capacity: Int) {
        self.burst = burst
        self.perSecond = perSecond
        self.capacity = capacity
    }

    /// Counts a wrong key of an address; false when its budget was spent already.
    mutating func charge(_ address: String, at time: ContinuousClock.Instant) -> Bool {
        var bucket = self.bucket(address, at: time)
        guard bucket.left >= 1 else { return false }
        bucket.left -= 1
        if self.buckets.count >= self.capacity, self.buckets[address] == nil { self.buckets = [:] }
        self.buckets[address] = bucket
        return true
    }

    /// Whether an address may try a key that must be hashed to be judged.
    func hasLeft(_ address: String, at time: ContinuousClock.Instant) -> Bool {
        self.bucket(address, at: time).left >= 1
    }

    private func bucket(_ address: String, at time: ContinuousClock.Instant) -> Bucket {
        guard let bucket = self.buckets[address] else { return Bucket(left: self.burst, at: time) }
        let passed = Double((time - bucket.at).components.seconds)
        return Bucket(
            left: min(self.burst, bucket.left + passed * self.perSecond), at: passed > 0 ? time : bucket.at)
    }
}
