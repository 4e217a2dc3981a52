/// When a node renews its lease, and when it may judge the others' leases. Pure; times are monotonic.
struct LeaseMachine {
    /// What a renewal that went well asks for.
    struct Consequence: Hashable {
        /// How long no renewal went well.
        let gap: Duration
        /// The lease may have run out: what is held must be compared with what the queue knows.
        let mayBeLost: Bool
        /// The queue knows of more than the node: an answer went astray, or the queue was set back by a fail-over.
        let mayHoldUnknown: Bool
        /// Nodes whose jobs are to be put back in line.
        let rescue: [String]
    }

    private let term: Duration
    /// Kept over restarts of the keeper: a gap must be seen by whoever renews next.
    private var renewedAt: Duration?
    private var steadySince = Duration.zero
    /// Nodes whose lease looked over, since when.
    private var suspects: [String: Duration] = [:]

    /// How much later than its time a renewal may come by the keeper's ticks and a slow answer.
    private static let slack = Duration.seconds(1)

    init(term: Duration) { self.term = term }

    /// Eight in a term: a dead node is then suspected, given the time for a renewal, and its jobs taken over, all within
    /// ten seconds after the end of a lease of thirty.
    private var interval: Duration { self.term / 8 }
    private var suspicionTime: Duration { self.interval + Self.slack }

    mutating func began(at now: Duration) { self.steadySince = now }

    func isRenewalDue(at now: Duration) -> Bool {
        now - (self.renewedAt ?? self.steadySince) >= self.interval
            || self.mayJudge(at: now) && self.suspects.values.contains { now - $0 >= self.suspicionTime }
    }

    /// After an outage every node's lease looks over. Who has not renewed in peace for a whole term does not judge the
    /// others: they get the time to say that they live.
    private func mayJudge(at now: Duration) -> Bool { now - self.steadySince >= self.term }

    /// `now` and how many deliveries are held `here` were taken before the call; `there` are the leases that the queue
    /// knows. A claim on its way makes them differ too, which costs a question once a renewal.
    mutating func renewed(at now: Duration, dead: [String], here: Int, there: Int) -> Consequence {
        let gap = now - (self.renewedAt ?? self.steadySince)
        self.renewedAt = now
        if gap > self.term * 3 / 4 { self.steadySince = now }
        // After the queue's clock went forward those who live renew soon, so that nobody is judged at first sight.
        let earlier = self.suspects
        self.suspects = Dictionary(dead.map { ($0, earlier[$0] ?? now) }) { first, _ in first }
        let rescue =
            self.mayJudge(at: now) ? dead.filter { now - (self.suspects[$0] ?? now) >= self.suspicionTime } : []
        return Consequence(
            gap: gap, mayBeLost: gap > self.term, mayHoldUnknown: there > here, rescue: rescue)
    }

    /// The queue did not answer, or does not know the node.
    mutating func failed(at now: Duration) {
        self.steadySince = now
        self.suspects = [:]
    }
}
