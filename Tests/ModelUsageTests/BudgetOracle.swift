import Foundation
import ModelUsage

/// What the ledger does, without counters: it keeps every call, and sums them up for each question.
struct BudgetOracle {
    private struct Call {
        let id: String
        let subject: BudgetSubject
        let reserved: BudgetAmounts
        let time: UInt64
        let leaseEnd: UInt64
        var wasSent = false
        /// Nil while the call is open.
        var spent: BudgetAmounts?
    }

    let limits: [BudgetLimit]
    private var calls: [Call] = []

    init(limits: [BudgetLimit]) { self.limits = limits }

    var openCount: Int { self.calls.count { $0.spent == nil } }

    mutating func reserve(
        _ id: String, _ subject: BudgetSubject, _ amounts: BudgetAmounts, _ leaseEnd: UInt64, _ now: UInt64
    ) -> Bool {
        guard !self.calls.contains(where: { $0.id == id && $0.spent == nil }) else { return false }
        for limit in self.limits {
            let used = self.sums(limit, subject, now).reduce(0, +)
            guard used < limit.amount, used + amounts[limit.unit] <= limit.amount else { return false }
        }
        self.calls.append(Call(id: id, subject: subject, reserved: amounts, time: now, leaseEnd: leaseEnd))
        return true
    }

    mutating func sent(_ id: String) -> Bool {
        guard let index = self.calls.firstIndex(where: { $0.id == id && $0.spent == nil }) else { return false }
        self.calls[index].wasSent = true
        return true
    }

    mutating func end(_ id: String, _ amounts: BudgetAmounts) -> Bool {
        guard let index = self.calls.firstIndex(where: { $0.id == id && $0.spent == nil }) else { return false }
        self.calls[index].spent = amounts
        return true
    }

    mutating func expire(_ now: UInt64) {
        for index in self.calls.indices where self.calls[index].spent == nil && self.calls[index].leaseEnd <= now {
            self.calls[index].spent = self.calls[index].wasSent ? self.calls[index].reserved : BudgetAmounts()
        }
    }

    func status(_ subject: BudgetSubject, _ now: UInt64) -> [[UInt64]] {
        self.limits.map { self.sums($0, subject, now) }
    }

    /// What is spent and reserved.
    private func sums(_ limit: BudgetLimit, _ subject: BudgetSubject, _ now: UInt64) -> [UInt64] {
        var sums: [UInt64] = [0, 0]
        for call in self.calls
        where call.subject.name(in: limit.scope) == subject.name(in: limit.scope)
            && self.isSamePeriod(limit.window, call, subject, now)
        {
            if let spent = call.spent { sums[0] += spent[limit.unit] } else { sums[1] += call.reserved[limit.unit] }
        }
        return sums
    }

    private func isSamePeriod(_ window: BudgetWindow, _ call: Call, _ subject: BudgetSubject, _ now: UInt64) -> Bool {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let dates = [call.time, now].map { Date(timeIntervalSince1970: Double($0) / 1000) }
        switch window {
        case .run: return call.subject.run == subject.run
        case .day: return calendar.isDate(dates[0], inSameDayAs: dates[1])
        case .month: return calendar.isDate(dates[0], equalTo: dates[1], toGranularity: .month)
        }
    }
}
