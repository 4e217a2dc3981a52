/// What is held for one call until it has ended.
struct BudgetReservation: Sendable {
    let amounts: BudgetAmounts
    /// The counters it is held in, with their limits. They stay the same when the day ends in between.
    let holds: [(key: BudgetCounter.Key, limit: BudgetLimit)]
    /// When the reservation expires, in milliseconds since the epoch.
    let leaseEnd: UInt64
    /// Whether the request was sent, so that the provider may charge for it.
    var wasSent = false
}
