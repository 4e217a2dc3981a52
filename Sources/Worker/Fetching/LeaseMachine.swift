/// Decides when a node renews its lease, and which other nodes are dead. A pure state machine; times are monotonic.
struct LeaseMachine {
    /// What follows from a successful renewal.
    struct Consequence: Hashable {
        /// The time since the previous successful renewal.
        let gap: Duration
        /// The lease may have expired: the held entries must be compared with those of the queue.
        let mayBeLost: Bool
        /// The queue records more leases than the node holds: an answer was lost, or a failover restored an older state.
        let mayHoldUnknown: Bool
        /// The dead nodes whose jobs are to be rescued.
        let rescue: [String]
    }

    private let term: Duration
    /// Kept over restarts of the keeper, so that the next renewal detects a gap.
    private var renewedAt: Duration?
    private var steadySince = Duration.zero
    /// The nodes whose leases appear expired, and since when.
    private var suspects: [String: Duration] = [:]

    /// The delay of a renewal that the keeper's tick and a slow response can cause.
    private static let slack = Duration.seconds(1)

    init(term: Duration) { self.term = term }

    /// Eight renewals in a term. With a lease of 30 seconds, a dead node is suspected, given the time for a renewal, and its
    /// jobs rescued, all within 10 seconds after its lease ends.
    private var interval: Duration { self.term / 8 }
    private var suspicionTime: Duration { self.interval + Self.slack }

    /// The keeper starts at `now`.
    mutating func began(at now: Duration) {
        self.steadySince = now
        // The join before the first renewal is no older; a failed renewal must not hide the time since.
        self.renewedAt = self.renewedAt ?? now
    }

    /// Whether to renew at `now`: an interval has passed, or a suspected node is due for rescue.
    func isRenewalDue(at now: Duration) -> Bool {
        now - (self.renewedAt ?? self.steadySince) >= self.interval
            || self.mayJudge(at: now) && self.suspects.values.contains { now - $0 >= self.suspicionTime }
    }

    /// After an outage the leases of all nodes appear expired. A node that has not renewed without failures for a whole
    /// term does not declare others dead, so that they have the time to renew.
    private func mayJudge(at now: Duration) -> Bool { now - self.steadySince >= self.term }

    /// A renewal succeeded. `now` and `here`, the number of held deliveries, are from before the call; `there` is the number
    /// of leases in the queue; `dead` are the nodes whose leases have expired. A claim in progress also makes the numbers
    /// differ, which costs at most one query for each renewal.
    mutating func renewed(at now: Duration, dead: [String], here: Int, there: Int) -> Consequence {
        let gap = now - (self.renewedAt ?? self.steadySince)
        self.renewedAt = now
        if gap > self.term * 3 / 4 { self.steadySince = now }
        // After a forward jump of the queue's clock, live nodes renew soon. So no node is declared dead at once.
        let earlier = self.suspects
        self.suspects = Dictionary(dead.map { ($0, earlier[$0] ?? now) }) { first, _ in first }
        let rescue =
            self.mayJudge(at: now) ? dead.filter { now - (self.suspects[$0] ?? now) >= self.suspicionTime } : []
        return Consequence(
            gap: gap, mayBeLost: gap > self.term, mayHoldUnknown: there > here, rescue: rescue)
    }

    /// A renewal failed: the queue did not answer, or does not know the node.
    mutating func failed(at now: Duration) {
        self.steadySince = now
        self.suspects = [:]
    }
}
