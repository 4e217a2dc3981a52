import Testing

@testable import Worker

/// With a term of 40 s a renewal is due after 5 s, and a node is suspected for 6 s before its jobs are taken over.
@Suite("LeaseMachine")
struct LeaseMachineTests {
    private func machine() -> LeaseMachine {
        var machine = LeaseMachine(term: .seconds(40))
        machine.began(at: .zero)
        return machine
    }

    /// A machine that renewed every five seconds up to `time`, the last time with these nodes dead.
    private func steady(until time: Int, dead: [String] = []) -> LeaseMachine {
        var machine = self.machine()
        for second in stride(from: 5, through: time, by: 5) {
            _ = machine.renewed(at: .seconds(second), dead: second == time ? dead : [], here: 0, there: 0)
        }
        return machine
    }

    @Test("a renewal is due an eighth of the term after the beginning")
    func firstRenewal() {
        let machine = self.machine()
        #expect(!machine.isRenewalDue(at: .milliseconds(4999)))
        #expect(machine.isRenewalDue(at: .seconds(5)))
    }

    @Test("a renewal is due an eighth of the term after the last one")
    func nextRenewal() {
        let machine = self.steady(until: 15)
        #expect(!machine.isRenewalDue(at: .milliseconds(19_999)))
        #expect(machine.isRenewalDue(at: .seconds(20)))
    }

    @Test("a renewal stays due until it goes well")
    func failedRenewal() {
        var machine = self.steady(until: 15)
        machine.failed(at: .seconds(20))
        #expect(machine.isRenewalDue(at: .milliseconds(20_500)))
    }

    @Test("the gap is the time since the last renewal that went well")
    func gap() {
        var machine = self.steady(until: 10)
        machine.failed(at: .seconds(15))
        let consequence = machine.renewed(at: .seconds(20), dead: [], here: 0, there: 0)
        #expect(consequence.gap == .seconds(10))
    }

    @Test(
        "a gap of exactly the term leaves the lease valid; a longer one may have lost it", arguments: [40_000, 40_001])
    func lost(milliseconds: Int) {
        var machine = self.machine()
        let consequence = machine.renewed(at: .milliseconds(milliseconds), dead: [], here: 0, there: 0)
        #expect(consequence.mayBeLost == (milliseconds > 40_000))
    }

    @Test("a first renewal that failed is due again at once, and hides no gap")
    func failedFirstRenewal() {
        var machine = self.machine()
        machine.failed(at: .seconds(5))
        #expect(machine.isRenewalDue(at: .milliseconds(5500)))
        machine.failed(at: .seconds(39))
        let consequence = machine.renewed(at: .seconds(41), dead: [], here: 0, there: 0)
        #expect(consequence.gap == .seconds(41) && consequence.mayBeLost)
    }

    @Test("a restart of the keeper hides no gap")
    func gapOverRestart() {
        var machine = self.steady(until: 10)
        machine.began(at: .seconds(55))
        let consequence = machine.renewed(at: .seconds(56), dead: [], here: 0, there: 0)
        #expect(consequence.gap == .seconds(46) && consequence.mayBeLost)
    }

    @Test(
        "only when the queue knows of more leases than the node holds may it hold unknown ones",
        arguments: [(3, 2, false), (3, 3, false), (3, 4, true)])
    func unknown(here: Int, there: Int, expected: Bool) {
        var machine = self.machine()
        let consequence = machine.renewed(at: .seconds(5), dead: [], here: here, there: there)
        #expect(consequence.mayHoldUnknown == expected)
    }

    @Test("a node is not judged at first sight")
    func firstSight() {
        var machine = self.steady(until: 80)
        let consequence = machine.renewed(at: .seconds(85), dead: ["n2"], here: 0, there: 0)
        #expect(consequence.rescue.isEmpty)
    }

    @Test("a node that stays suspected for its time is taken over")
    func rescue() {
        var machine = self.steady(until: 80, dead: ["n2"])
        let early = machine.renewed(at: .milliseconds(85_999), dead: ["n2"], here: 0, there: 0)
        #expect(early.rescue.isEmpty)
        let late = machine.renewed(at: .seconds(86), dead: ["n2"], here: 0, there: 0)
        #expect(late.rescue == ["n2"])
    }

    @Test("a ripe suspicion makes the renewal due early")
    func dueBySuspicion() {
        var machine = self.steady(until: 80, dead: ["n2"])
        _ = machine.renewed(at: .seconds(85), dead: ["n2"], here: 0, there: 0)
        #expect(!machine.isRenewalDue(at: .milliseconds(85_999)))
        #expect(machine.isRenewalDue(at: .seconds(86)))
    }

    @Test("a suspected node that renews is suspected again when it fails again")
    func renewedSuspect() {
        var machine = self.steady(until: 80, dead: ["n2"])
        _ = machine.renewed(at: .seconds(85), dead: [], here: 0, there: 0)
        let consequence = machine.renewed(at: .seconds(90), dead: ["n2"], here: 0, there: 0)
        #expect(consequence.rescue.isEmpty)
    }

    @Test("each node has its own suspicion")
    func severalSuspects() {
        var machine = self.steady(until: 80, dead: ["n2"])
        let consequence = machine.renewed(at: .seconds(86), dead: ["n2", "n3"], here: 0, there: 0)
        #expect(consequence.rescue == ["n2"])
    }

    @Test("a node that has not renewed in peace for a whole term judges no other")
    func unsteady() {
        var machine = self.steady(until: 30, dead: ["n2"])
        let consequence = machine.renewed(at: .milliseconds(39_999), dead: ["n2"], here: 0, there: 0)
        #expect(consequence.rescue.isEmpty)
        let later = machine.renewed(at: .seconds(40), dead: ["n2"], here: 0, there: 0)
        #expect(later.rescue == ["n2"])
    }

    @Test("an outage ends every suspicion and begins the term of peace again")
    func outage() {
        var machine = self.steady(until: 80, dead: ["n2"])
        machine.failed(at: .seconds(85))
        let early = machine.renewed(at: .seconds(124), dead: ["n2"], here: 0, there: 0)
        #expect(early.rescue.isEmpty)
    }

    @Test("a gap of more than three quarters of the term begins the term of peace again")
    func longGap() {
        var machine = self.steady(until: 80, dead: ["n2"])
        let consequence = machine.renewed(at: .milliseconds(110_001), dead: ["n2"], here: 0, there: 0)
        #expect(consequence.rescue.isEmpty)
    }

    @Test("a gap of three quarters of the term is no such gap")
    func shortGap() {
        var machine = self.steady(until: 80, dead: ["n2"])
        let consequence = machine.renewed(at: .seconds(110), dead: ["n2"], here: 0, there: 0)
        #expect(consequence.rescue == ["n2"])
    }
}
