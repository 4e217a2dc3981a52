/// The part of one limit that this node may give out by itself: requests that Redis has counted already.
struct RateShare: Sendable {
    /// The answer of Redis: requests granted, requests that are left, and times in milliseconds.
    struct Grant: Sendable, Equatable {
        var granted: Int
        var remaining: Int
        /// Until there is room, when nothing was granted.
        var wait: Int
        /// Until the oldest request no longer counts.
        var reset: Int
        /// The bucket in which the grant was counted.
        var bucket: Int
        /// Until that bucket ends.
        var bucketEnd: Int
    }

    /// What to ask Redis for.
    struct Question: Sendable, Equatable {
        let wanted: Int
        /// Requests that were counted and not made, and the bucket in which they were counted.
        let returned: Int
        let bucket: Int
    }

    private(set) var left = 0
    private(set) var remaining = 0
    /// Milliseconds.
    private(set) var reset = 0
    private(set) var takenAt: ContinuousClock.Instant
    /// The size of the last share.
    private var size = 1
    private var bucket = 0
    /// Nothing was taken from the share yet: its first request is made however long the answer took.
    private var isUntouched = false
    private var validUntil: ContinuousClock.Instant
    private var refusedUntil: ContinuousClock.Instant?

    /// A share that is used up sooner is followed by a larger one; one that lasts longer by the smallest.
    private static let busyTime = Duration.milliseconds(500)
    /// How long a refusal is remembered at most.
    private static let refusalTime = 1000

    init(at time: ContinuousClock.Instant) {
        self.takenAt = time
        self.validUntil = time
    }

    /// Takes one request: true when it may pass, false when the limit is reached, nil when Redis must be asked.
    mutating func take(at time: ContinuousClock.Instant) -> Bool? {
        if self.left > 0, time < self.validUntil || self.isUntouched {
            self.left -= 1
            self.isUntouched = false
            return true
        }
        if let end = self.refusedUntil, time < end { return false }
        return nil
    }

    /// The question to Redis; the share is empty until `received` has its answer. `limit` is the number of requests in
    /// a period; a share is a hundredth of it at most.
    mutating func question(limit: Int, at time: ContinuousClock.Instant) -> Question {
        if time - self.takenAt >= Self.busyTime {
            self.size = 1
        } else if self.left == 0 {
            self.size = min(self.size * 2, max(1, limit / 100))
        }
        defer { self.left = 0 }
        return Question(wanted: self.size, returned: self.left, bucket: self.bucket)
    }

    /// Takes up the answer to a question that was sent at `time`. A share ends with the bucket in which it was counted,
    /// so that no request is made in a later one than the one that holds it.
    mutating func received(_ grant: Grant, sentAt time: ContinuousClock.Instant, at now: ContinuousClock.Instant) {
        self.left = grant.granted
        self.isUntouched = true
        self.remaining = grant.remaining
        self.bucket = grant.bucket
        self.takenAt = now
        self.validUntil = min(now + Self.busyTime, time + .milliseconds(grant.bucketEnd))
        self.refusedUntil = grant.granted > 0 ? nil : now + .milliseconds(min(grant.wait, Self.refusalTime))
        self.reset = grant.granted > 0 ? grant.reset : grant.wait
    }
}
