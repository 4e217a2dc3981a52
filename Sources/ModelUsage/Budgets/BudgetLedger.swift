internal import Domain

/// The arithmetic of budgets: each call reserves before it is sent, and settles after it has ended. A pure state machine;
/// times are milliseconds since the epoch and never read from a clock. It is the model for the same steps in Redis.
///
/// A call is admitted only when every limit that covers it has space for its whole reservation, in one step. Therefore
/// any number of calls at once cannot pass a limit by more than one call exceeds its own reservation.
package struct BudgetLedger: Sendable {
    /// What became of a request to reserve.
    package enum Decision: Hashable, Sendable {
        case admitted
        case refused(BudgetRefusal)
        /// The ID already holds a reservation; nothing was changed.
        case duplicate
    }

    /// What became of a step on a reservation.
    package enum Settlement: Hashable, Sendable {
        /// The thresholds that were reached by it.
        case done([BudgetThreshold])
        /// There is no such reservation: it has ended or expired. Nothing was changed.
        case unknown
    }

    package let limits: [BudgetLimit]
    /// The counters that are not empty, or that a reservation uses.
    private var counters: [BudgetCounter.Key: BudgetCounter] = [:]
    private var reservations: [String: BudgetReservation] = [:]

    /// Takes the limits in the order in which they refuse. Throws `malformedLimit` when two have the same ID.
    package init(limits: [BudgetLimit]) throws(ModelUsageError) {
        var ids: Set<String> = []
        for limit in limits {
            guard !limit.id.isEmpty, ids.insert(limit.id).inserted else {
                throw ModelUsageError(
                    code: .malformedLimit,
                    message: "the budget limit '\(limit.id)' is refused: an ID must be unique and not empty")
            }
        }
        self.limits = limits
    }

    /// The number of reservations that have not ended.
    package var reservationCount: Int { self.reservations.count }

    /// Reserves for a call in all limits that cover it, or in none. The reservation expires at `leaseEnd`.
    package mutating func reserve(
        id: String, for subject: BudgetSubject, _ amounts: BudgetAmounts, leaseEnd: UInt64, now: UInt64
    ) -> Decision {
        guard self.reservations[id] == nil else { return .duplicate }
        var holds: [(key: BudgetCounter.Key, limit: BudgetLimit)] = []
        for limit in self.limits where limit.covers(subject) {
            let key = Self.key(of: limit, for: subject, at: now)
            let counter = self.counters[key] ?? BudgetCounter()
            guard counter.admits(amounts[limit.unit], limit: limit.amount) else {
                return .refused(
                    BudgetRefusal(
                        limit: limit, name: key.name, spent: counter.spent, reserved: counter.reserved,
                        requested: amounts[limit.unit], resetsAt: limit.window.end(after: now)))
            }
            holds.append((key, limit))
        }
        for hold in holds { self.counters[hold.key, default: BudgetCounter()].reserved += amounts[hold.limit.unit] }
        self.reservations[id] = BudgetReservation(amounts: amounts, holds: holds, leaseEnd: leaseEnd)
        return .admitted
    }

    /// Records that the request of a reservation is being sent, so that it is charged even if nothing more is known of it.
    /// Returns false if there is no such reservation; the request must then not be sent.
    package mutating func sent(id: String) -> Bool {
        guard self.reservations[id] != nil else { return false }
        self.reservations[id]?.wasSent = true
        return true
    }

    /// Ends a reservation with what the call really used, in the periods in which it was reserved; nothing for one whose
    /// request was not sent.
    package mutating func settle(id: String, _ actual: BudgetAmounts) -> Settlement {
        guard let reservation = self.reservations.removeValue(forKey: id) else { return .unknown }
        return .done(self.end(reservation, spending: actual))
    }

    /// Ends the reservations whose leases have ended. One whose request was sent is spent in full, because the provider
    /// charges for it; the others cost nothing. Returns the thresholds that were reached, in the order of the IDs.
    package mutating func expire(now: UInt64) -> [BudgetThreshold] {
        var thresholds: [BudgetThreshold] = []
        for (id, reservation) in self.reservations.sorted(by: { $0.key < $1.key }) where reservation.leaseEnd <= now {
            self.reservations[id] = nil
            thresholds += self.end(reservation, spending: reservation.wasSent ? reservation.amounts : BudgetAmounts())
        }
        return thresholds
    }

    /// The counters that a call of this subject would be checked against, in the order of the limits.
    package func status(
        of subject: BudgetSubject, now: UInt64
    ) -> [(limit: BudgetLimit, counter: BudgetCounter)] {
        self.limits.filter { $0.covers(subject) }.map { limit in
            (limit, self.counters[Self.key(of: limit, for: subject, at: now)] ?? BudgetCounter())
        }
    }

    /// The counter of a limit for a subject at a time.
    package static func key(of limit: BudgetLimit, for subject: BudgetSubject, at now: UInt64) -> BudgetCounter.Key {
        BudgetCounter.Key(
            limit: limit.id, name: subject.name(in: limit.scope),
            period: limit.window.period(at: now, run: subject.run))
    }

    private mutating func end(_ reservation: BudgetReservation, spending amounts: BudgetAmounts) -> [BudgetThreshold] {
        var thresholds: [BudgetThreshold] = []
        for hold in reservation.holds {
            var counter = self.counters[hold.key] ?? BudgetCounter()
            counter.reserved = counter.reserved.subtractingSaturated(reservation.amounts[hold.limit.unit])
            counter.spent = counter.spent.addingSaturated(amounts[hold.limit.unit])
            if let percent = counter.nextThreshold(limit: hold.limit.amount) {
                thresholds.append(
                    BudgetThreshold(
                        counter: hold.key, percent: percent, spent: counter.spent, amount: hold.limit.amount))
            }
            let isEmpty = counter.used == 0 && counter.reported == 0
            self.counters[hold.key] = isEmpty ? nil : counter
        }
        return thresholds
    }
}
