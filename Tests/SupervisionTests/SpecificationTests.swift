import Domain
import Synchronization
import Testing

@testable import Supervision

@Suite("The restart window")
struct RestartWindowTests {
    @Test("as many restarts as the intensity are allowed within the period")
    func intensity() {
        var window = RestartWindow(intensity: 2, period: .seconds(5))
        let allowed = (1...3).map { window.add(now: .seconds($0)) }
        #expect(allowed == [true, true, false])
    }

    @Test("restarts count by whole seconds, and the second at the period's edge still counts")
    func edge() {
        var window = RestartWindow(intensity: 1, period: .seconds(5))
        let allowed = [10_999, 15_999].map { window.add(now: .milliseconds($0)) }
        #expect(allowed == [true, false], "five seconds before is within the period")
        var other = RestartWindow(intensity: 1, period: .seconds(5))
        let later = [10_999, 16_000].map { other.add(now: .milliseconds($0)) }
        #expect(later == [true, true])
    }

    @Test("an intensity of 0 allows no restart")
    func none() {
        var window = RestartWindow(intensity: 0, period: .seconds(5))
        let isAllowed = window.add(now: .zero)
        #expect(!isAllowed)
    }

    @Test("the count is of the restarts that are still within the period")
    func count() {
        var window = RestartWindow(intensity: 9, period: .seconds(5))
        for second in [1, 2, 8] { _ = window.add(now: .seconds(second)) }
        #expect(window.count(now: .seconds(8)) == 1)
        #expect(window.count(now: .seconds(14)) == 0)
    }
}

@Suite("The restart backoff")
struct RestartBackoffTests {
    private let backoff = RestartBackoff(first: .milliseconds(100), longest: .seconds(2), resetAfter: .seconds(10))

    @Test("the pause doubles with each attempt, up to the longest")
    func doubles() {
        let pauses = (0..<7).map { self.backoff.pause(attempt: $0) }
        #expect(pauses == [100, 200, 400, 800, 1600, 2000, 2000].map { .milliseconds($0) })
    }

    @Test("no count of attempts overflows", arguments: [-1, 62, 64, Int.max])
    func bounds(attempt: Int) {
        #expect(self.backoff.pause(attempt: attempt) <= self.backoff.longest)
        #expect(self.backoff.pause(attempt: attempt) >= self.backoff.first)
    }
}

@Suite("The storm guard")
struct StormGuardTests {
    /// A time that the test sets.
    private final class Time: Sendable {
        private let value = Mutex(Duration.zero)
        var now: Duration { self.value.withLock { $0 } }
        func set(_ time: Duration) { self.value.withLock { $0 = time } }
    }

    @Test("restarts up to the limit within a minute are not a storm, and one more is")
    func limit() {
        let time = Time()
        let storm = StormGuard(limit: 3, now: { time.now })
        for _ in 0..<3 { storm.restarted() }
        #expect(!storm.isStorm)
        storm.restarted()
        #expect(storm.isStorm)
    }

    @Test("a storm is over a minute after the restarts")
    func over() {
        let time = Time()
        let storm = StormGuard(limit: 1, now: { time.now })
        for _ in 0..<5 { storm.restarted() }
        time.set(.seconds(60))
        #expect(storm.isStorm)
        time.set(.seconds(61))
        #expect(!storm.isStorm && storm.count == 0)
    }

    @Test("the memory does not grow beyond the limit and one")
    func bounded() {
        let time = Time()
        let storm = StormGuard(limit: 2, now: { time.now })
        for _ in 0..<1000 { storm.restarted() }
        #expect(storm.count == 3)
    }
}

@Suite("The rules of specifications")
struct SpecificationTests {
    private func child(
        _ id: String = "a", _ change: (inout ChildSpecification) -> Void = { _ in }
    ) -> ChildSpecification {
        var child = ChildSpecification(id: id, run: { _ in })
        change(&child)
        return child
    }

    private func broken(
        _ children: [ChildSpecification], _ change: (inout Supervisor.Configuration) -> Void = { _ in }
    ) -> SpecificationRule? {
        var configuration = Supervisor.Configuration(name: "test")
        change(&configuration)
        do throws(SupervisionError) {
            try configuration.check(children)
            return nil
        } catch {
            guard case .invalidSpecification(let rule) = error.code else { return nil }
            return rule
        }
    }

    @Test("children of different ids with the defaults follow every rule")
    func good() { #expect(self.broken([self.child("a"), self.child("b")]) == nil) }

    @Test("an intensity is 0 or more")
    func intensity() {
        #expect(self.broken([]) { $0.intensity = 0 } == nil)
        #expect(self.broken([]) { $0.intensity = -1 } == .invalidIntensity)
    }

    @Test("a period is a whole number of seconds, at least one", arguments: [0, 500, 1500])
    func period(milliseconds: Int) {
        #expect(self.broken([]) { $0.period = .milliseconds(milliseconds) } == .invalidPeriod)
    }

    @Test("each child has an id of its own, and none is empty")
    func ids() {
        #expect(self.broken([self.child("a"), self.child("a")]) == .duplicateID)
        #expect(self.broken([self.child("")]) == .emptyID)
    }

    @Test("a simple-one-for-one supervisor has one template", arguments: [0, 2])
    func template(count: Int) {
        let children = (0..<count).map { self.child("c\($0)") }
        #expect(self.broken(children) { $0.strategy = .simpleOneForOne } == .oneTemplate)
    }

    @Test("a significant child needs auto-shutdown and a final end")
    func significant() {
        let permanent = self.child { $0.isSignificant = true }
        let transient = self.child {
            $0.isSignificant = true
            $0.restart = .transient
        }
        #expect(self.broken([transient]) == .significantWithoutAutoShutdown)
        #expect(self.broken([permanent]) { $0.autoShutdown = .anySignificant } == .significantPermanent)
        #expect(self.broken([transient]) { $0.autoShutdown = .allSignificant } == nil)
    }

    @Test("a shutdown time is 0 or more")
    func shutdown() {
        #expect(self.broken([self.child { $0.shutdown = .timeout(.zero) }]) == nil)
        #expect(self.broken([self.child { $0.shutdown = .timeout(.seconds(-1)) }]) == .invalidShutdown)
    }

    @Test("a backoff begins above 0, not above its longest pause, and its reset is 0 or more")
    func backoff() {
        let wrong = [
            RestartBackoff(first: .zero, longest: .seconds(1), resetAfter: .zero),
            RestartBackoff(first: .seconds(2), longest: .seconds(1), resetAfter: .zero),
            RestartBackoff(first: .seconds(1), longest: .seconds(1), resetAfter: .seconds(-1)),
        ]
        for backoff in wrong { #expect(self.broken([self.child { $0.backoff = backoff }]) == .invalidBackoff) }
        #expect(self.broken([self.child { $0.backoff = .subsystem }]) == nil)
    }

    @Test("a heartbeat limit is above 0")
    func heartbeat() {
        #expect(self.broken([self.child { $0.heartbeatLimit = .zero }]) == .invalidHeartbeatLimit)
    }

    @Test("the refusal names the supervisor, the child and the rule")
    func message() {
        let error = #expect(throws: SupervisionError.self) {
            try Supervisor.Configuration(name: "node").check(self.child(""))
        }
        #expect(error?.message.contains("'node'") == true)
        #expect(error?.message.contains(SpecificationRule.emptyID.rawValue) == true)
    }

    @Test("the kind of a supervisor is its name up to the first space")
    func kind() { #expect(Supervisor.Configuration(name: "agent 01K").kind == "agent") }
}

@Suite("The end of a child")
struct ChildExitTests {
    @Test("failures, kills and hangs restart a transient child; other ends do not")
    func abnormal() {
        #expect(ChildExit.failed("x").isAbnormal && ChildExit.killed.isAbnormal && ChildExit.hung(.zero).isAbnormal)
        #expect(!ChildExit.normal.isAbnormal && !ChildExit.shutdown(nil).isAbnormal && !ChildExit.gaveUp("").isAbnormal)
    }

    @Test("each kind of end has its own label")
    func labels() {
        let ends: [ChildExit] = [.normal, .shutdown("x"), .gaveUp(""), .failed(""), .killed, .hung(.zero)]
        #expect(Set(ends.map(\.label)).count == ends.count)
        #expect(ChildExit.shutdown("a").label == ChildExit.shutdown(nil).label)
    }

    @Test("the paths of leaked children lead through the trees below")
    func leaked() {
        func branch(_ id: String, _ state: ChildStatus.State, _ tree: SupervisionTree? = nil) -> SupervisionTree.Branch
        {
            let status = ChildStatus(
                reference: ChildReference(id: id, instance: 1, key: 1), type: .worker, state: state, restarts: 0,
                lastReason: nil, dependency: nil, uptime: nil)
            return SupervisionTree.Branch(status: status, tree: tree)
        }
        func tree(_ name: String, _ branches: [SupervisionTree.Branch]) -> SupervisionTree {
            SupervisionTree(
                name: name, strategy: .oneForOne, intensity: 1, period: .seconds(5), recentRestarts: 0,
                branches: branches)
        }
        let below = tree("workspaces", [branch("acme", .leaked), branch("other", .running)])
        let node = tree("node", [branch("workspaces", .running, below), branch("api", .leaked)])
        #expect(node.leaked == ["node/workspaces/acme", "node/api"])
    }
}

@Suite("The alarm clock")
struct AlarmClockTests {
    private func event(_ key: Int) -> SupervisorMachine.Event { .leftBehind(key, instance: 1) }

    @Test("alarms are due in the order of their times, and of their setting at one time")
    func order() {
        var clock = AlarmClock()
        _ = clock.set(self.event(1), at: .seconds(2))
        _ = clock.set(self.event(2), at: .seconds(1))
        _ = clock.set(self.event(3), at: .seconds(1))
        #expect(clock.next == .seconds(1))
        let (first, second) = (clock.due(at: .seconds(1)), clock.due(at: .seconds(9)))
        #expect(first.map(\.number) == [2, 3])
        #expect(second.map(\.number) == [1])
    }

    @Test("setting reports whether the alarm is the earliest now")
    func earliest() {
        var clock = AlarmClock()
        let earliest = [5, 6, 4].map { clock.set(self.event($0), at: .seconds($0)) }
        #expect(earliest == [true, false, true])
    }

    @Test("nothing is due before its time, and nothing after a clear")
    func clear() {
        var clock = AlarmClock()
        _ = clock.set(self.event(1), at: .seconds(5))
        let early = clock.due(at: .milliseconds(4999))
        clock.clear()
        let late = clock.due(at: .seconds(9))
        #expect(early.isEmpty && late.isEmpty && clock.next == nil)
    }
}
