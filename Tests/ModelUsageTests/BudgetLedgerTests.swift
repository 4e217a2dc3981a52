import Domain
import ModelUsage
import TestSupport
import Testing

@Suite("BudgetLedger")
struct BudgetLedgerTests {
    /// 2026-11-30T12:00:00Z.
    private let noon: UInt64 = 1_796_040_000_000
    private let day: UInt64 = 86_400_000

    private func subject(tenant: String = "t", job: String = "j", run: String = "r") -> BudgetSubject {
        BudgetSubject(tenant: tenant, workspace: "w", definition: "claude", job: job, run: run)
    }

    private func amounts(_ unit: BudgetUnit, _ amount: UInt64) -> BudgetAmounts {
        var amounts = BudgetAmounts()
        amounts[unit] = amount
        return amounts
    }

    private func ledger(
        _ unit: BudgetUnit, _ amount: UInt64, scope: BudgetScope = .tenant, window: BudgetWindow = .day
    ) throws -> BudgetLedger {
        try BudgetLedger(limits: [BudgetLimit(id: "l", scope: scope, window: window, unit: unit, amount: amount)])
    }

    private func isRefused(_ decision: BudgetLedger.Decision) -> Bool {
        if case .refused = decision { true } else { false }
    }

    private func percents(_ settlement: BudgetLedger.Settlement) -> [UInt64]? {
        if case .done(let thresholds) = settlement { thresholds.map(\.percent) } else { nil }
    }

    @Test("calls at once cannot pass a limit that has space for one", arguments: BudgetUnit.allCases)
    func parallel(unit: BudgetUnit) throws {
        var ledger = try self.ledger(unit, 100)
        var admitted = 0
        for call in 0..<50 {
            let decision = ledger.reserve(
                id: "c\(call)", for: self.subject(run: "r\(call)"), self.amounts(unit, 60), leaseEnd: self.noon + 1000,
                now: self.noon)
            if decision == .admitted { admitted += 1 }
        }
        #expect(admitted == 1)
    }

    @Test("a limit that is used up admits no call, not even one that reserves nothing")
    func usedUp() throws {
        var ledger = try self.ledger(.tokens, 100)
        _ = ledger.reserve(id: "a", for: self.subject(), self.amounts(.tokens, 100), leaseEnd: .max, now: self.noon)
        #expect(
            self.isRefused(
                ledger.reserve(id: "b", for: self.subject(), BudgetAmounts(), leaseEnd: .max, now: self.noon)))
        var none = try self.ledger(.tokens, 0)
        #expect(
            self.isRefused(none.reserve(id: "b", for: self.subject(), BudgetAmounts(), leaseEnd: .max, now: self.noon)))
    }

    @Test("a call is reserved in all limits, or in none")
    func allOrNothing() throws {
        let limits = [
            BudgetLimit(id: "tenant", scope: .tenant, window: .month, unit: .tokens, amount: 1000),
            BudgetLimit(id: "job", scope: .job, window: .run, unit: .requests, amount: 1),
        ]
        var ledger = try BudgetLedger(limits: limits)
        var amounts = self.amounts(.tokens, 10)
        amounts[.requests] = 1
        #expect(ledger.reserve(id: "a", for: self.subject(), amounts, leaseEnd: .max, now: self.noon) == .admitted)
        #expect(ledger.reserve(id: "a", for: self.subject(), amounts, leaseEnd: .max, now: self.noon) == .duplicate)
        guard
            case .refused(let refusal) = ledger.reserve(
                id: "b", for: self.subject(), amounts, leaseEnd: .max, now: self.noon)
        else { Issue.record("the second request of the run was admitted"); return }
        #expect(refusal.limit.id == "job" && refusal.name == "j" && refusal.reserved == 1 && refusal.resetsAt == nil)
        #expect(ledger.status(of: self.subject(), now: self.noon).first?.counter.reserved == 10)
        #expect(
            ledger.reserve(id: "c", for: self.subject(run: "r2"), amounts, leaseEnd: .max, now: self.noon) == .admitted)
    }

    @Test("a limit with a name covers that one only")
    func named() throws {
        var ledger = try BudgetLedger(limits: [
            BudgetLimit(id: "l", scope: .tenant, name: "t", window: .day, unit: .tokens, amount: 0)
        ])
        #expect(self.isRefused(ledger.reserve(id: "a", for: self.subject(), BudgetAmounts(), leaseEnd: .max, now: 0)))
        #expect(
            ledger.reserve(id: "a", for: self.subject(tenant: "u"), BudgetAmounts(), leaseEnd: .max, now: 0)
                == .admitted)
    }

    @Test("settling moves what was used, also above the reservation, or nothing")
    func settle() throws {
        var ledger = try self.ledger(.tokens, 100)
        _ = ledger.reserve(id: "a", for: self.subject(), self.amounts(.tokens, 50), leaseEnd: .max, now: self.noon)
        _ = ledger.reserve(id: "b", for: self.subject(), self.amounts(.tokens, 50), leaseEnd: .max, now: self.noon)
        #expect(self.percents(ledger.settle(id: "b", BudgetAmounts())) == [])
        #expect(self.percents(ledger.settle(id: "a", self.amounts(.tokens, 70))) == [])
        #expect(ledger.settle(id: "a", self.amounts(.tokens, 70)) == .unknown)
        let counter = ledger.status(of: self.subject(), now: self.noon).first?.counter
        #expect(counter?.spent == 70 && counter?.reserved == 0 && ledger.reservationCount == 0)
    }

    @Test("each threshold is reported once, and the highest of several")
    func thresholds() throws {
        var ledger = try self.ledger(.tokens, 100)
        var reported: [[UInt64]?] = []
        for (call, spent) in [UInt64(79), 1, 14, 1, 4, 1, 50].enumerated() {
            _ = ledger.reserve(id: "c\(call)", for: self.subject(), BudgetAmounts(), leaseEnd: .max, now: self.noon)
            reported.append(self.percents(ledger.settle(id: "c\(call)", self.amounts(.tokens, spent))))
        }
        #expect(reported == [[], [80], [], [95], [], [100], nil])
        var other = try self.ledger(.tokens, 100)
        _ = other.reserve(id: "a", for: self.subject(), BudgetAmounts(), leaseEnd: .max, now: self.noon)
        #expect(self.percents(other.settle(id: "a", self.amounts(.tokens, .max))) == [100])
    }

    @Test("a reservation that expires is spent if its request was sent, and free if not")
    func expiry() throws {
        var ledger = try self.ledger(.tokens, 100)
        for (id, lease) in [("a", UInt64(10)), ("b", 10), ("c", 20)] {
            _ = ledger.reserve(
                id: id, for: self.subject(), self.amounts(.tokens, 30), leaseEnd: self.noon + lease, now: self.noon)
        }
        let isSent = ledger.sent(id: "b")
        #expect(isSent)
        #expect(ledger.expire(now: self.noon + 9) == [])
        #expect(ledger.expire(now: self.noon + 10) == [])
        let counter = ledger.status(of: self.subject(), now: self.noon).first?.counter
        #expect(counter?.spent == 30 && counter?.reserved == 30)
        let isSentLate = ledger.sent(id: "a")
        #expect(!isSentLate)
        #expect(ledger.settle(id: "b", self.amounts(.tokens, 5)) == .unknown)
    }

    @Test(
        "days and months are those of UTC",
        arguments: [
            (BudgetWindow.day, 43_199_999, false), (.day, 43_200_000, true), (.month, 43_199_999, false),
            (.month, 43_200_000, true), (.run, 86_400_000_000, false),
        ] as [(BudgetWindow, UInt64, Bool)])
    func windows(window: BudgetWindow, later: UInt64, isNew: Bool) throws {
        var ledger = try self.ledger(.tokens, 100, window: window)
        _ = ledger.reserve(id: "a", for: self.subject(), self.amounts(.tokens, 100), leaseEnd: .max, now: self.noon)
        let decision = ledger.reserve(
            id: "b", for: self.subject(), self.amounts(.tokens, 1), leaseEnd: .max, now: self.noon + later)
        #expect(self.isRefused(decision) == !isNew)
        if case .refused(let refusal) = decision {
            #expect(refusal.resetsAt == (window == .run ? nil : self.noon + 43_200_000))
            #expect(refusal.message.contains("'l'"))
        }
    }

    @Test("a call that ends on the next day is spent on the day of its reservation")
    func acrossMidnight() throws {
        var ledger = try self.ledger(.tokens, 100)
        _ = ledger.reserve(id: "a", for: self.subject(), self.amounts(.tokens, 60), leaseEnd: .max, now: self.noon)
        #expect(self.percents(ledger.settle(id: "a", self.amounts(.tokens, 90))) == [80])
        #expect(ledger.status(of: self.subject(), now: self.noon + self.day).first?.counter.spent == 0)
        #expect(ledger.status(of: self.subject(), now: self.noon).first?.counter.spent == 90)
    }

    @Test("numbers at the end of the range do not trap", arguments: [UInt64.max, UInt64.max - 1, 1 << 63])
    func extremes(amount: UInt64) throws {
        var ledger = try self.ledger(.tokens, .max)
        for (id, time) in [("a", UInt64(0)), ("b", self.noon), ("c", .max)] {
            let decision = ledger.reserve(
                id: id, for: self.subject(), self.amounts(.tokens, amount), leaseEnd: 0, now: time)
            #expect(decision == .admitted)
            _ = ledger.settle(id: id, self.amounts(.tokens, amount))
        }
    }

    @Test("two limits cannot share an ID")
    func duplicateLimits() {
        let limit = BudgetLimit(id: "l", scope: .job, window: .day, unit: .money, amount: 1)
        let error = #expect(throws: ModelUsageError.self) { try BudgetLedger(limits: [limit, limit]) }
        #expect(error?.code == .malformedLimit)
    }

    @Test("the amounts of a call cover every kind that its input may become")
    func reservation() {
        let most = BudgetAmounts(reservingInput: 10, maximumOutput: 5, highestCost: Money(nanodollars: 7), seconds: 3)
        #expect(BudgetUnit.allCases.map { most[$0] } == [15, 10, 5, 10, 10, 7, 1, 3])
        let usage = TokenUsage(input: 1, output: 2, cacheRead: 3, cacheWrite: 4)
        let actual = BudgetAmounts(usage: usage, cost: Money(nanodollars: 9))
        #expect(BudgetUnit.allCases.map { actual[$0] } == [10, 1, 2, 3, 4, 9, 1, 0])
    }

    @Test("random steps agree with a model that sums up its history", arguments: SeededRandom.seeds(8, thorough: 80))
    func oracle(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let limits = (0..<4).map { index in
            BudgetLimit(
                id: "l\(index)", scope: BudgetScope.allCases.randomElement(using: &random) ?? .job,
                window: BudgetWindow.allCases.randomElement(using: &random) ?? .day,
                unit: [.tokens, .money, .requests].randomElement(using: &random) ?? .tokens,
                amount: UInt64.random(in: 1...400, using: &random))
        }
        var ledger = try BudgetLedger(limits: limits)
        var oracle = BudgetOracle(limits: limits)
        var now = self.noon
        for step in 0..<300 {
            now += UInt64.random(in: 0...3_600_000, using: &random)
            let id = "c\(UInt64.random(in: 0...30, using: &random))"
            var amounts = self.amounts(.tokens, UInt64.random(in: 0...90, using: &random))
            amounts[.money] = UInt64.random(in: 0...90, using: &random)
            amounts[.requests] = 1
            switch Int.random(in: 0...9, using: &random) {
            case 0...4:
                let subject = self.subject(
                    tenant: Bool.random(using: &random) ? "t" : "u", job: Bool.random(using: &random) ? "j" : "k",
                    run: Bool.random(using: &random) ? "r" : "s")
                let leaseEnd = now + UInt64.random(in: 0...7_200_000, using: &random)
                let decision = ledger.reserve(id: id, for: subject, amounts, leaseEnd: leaseEnd, now: now)
                #expect((decision == .admitted) == oracle.reserve(id, subject, amounts, leaseEnd, now), "step \(step)")
            case 5: #expect(ledger.sent(id: id) == oracle.sent(id))
            case 6...8:
                let actual = step % 3 == 0 ? BudgetAmounts() : amounts
                #expect((ledger.settle(id: id, actual) != .unknown) == oracle.end(id, actual))
            default:
                _ = ledger.expire(now: now)
                oracle.expire(now)
            }
            let shown = ledger.status(of: self.subject(), now: now).map { [$0.counter.spent, $0.counter.reserved] }
            #expect(shown == oracle.status(self.subject(), now), "step \(step)")
            #expect(ledger.reservationCount == oracle.openCount)
        }
    }
}
