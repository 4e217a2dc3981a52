import TestSupport
import Testing

@testable import Supervision

@Suite("The supervisor's decisions")
struct SupervisorMachineTests {
    // MARK: - Every state and every event

    struct Setting: Sendable, CustomTestStringConvertible {
        let strategy: RestartStrategy
        let autoShutdown: AutoShutdown
        let second: RestartPolicy
        let hasBackoff: Bool

        var testDescription: String {
            "\(self.strategy.rawValue), \(self.autoShutdown.rawValue), the second \(self.second.rawValue)\(self.hasBackoff ? ", with backoff" : "")"
        }

        static let all: [Setting] = RestartStrategy.allCases.flatMap { strategy in
            [AutoShutdown.never, .anySignificant].flatMap { shutdown in
                RestartPolicy.allCases.flatMap { policy in
                    [false, true].map {
                        Setting(strategy: strategy, autoShutdown: shutdown, second: policy, hasBackoff: $0)
                    }
                }
            }
        }

        var machine: SupervisorMachine {
            let backoff =
                self.hasBackoff
                ? RestartBackoff(first: .seconds(1), longest: .seconds(4), resetAfter: .seconds(60)) : nil
            let isSignificant = self.autoShutdown != .never && self.second != .permanent
            return SupervisorMachine(
                strategy: self.strategy, intensity: 1, period: .seconds(5), autoShutdown: self.autoShutdown,
                children: self.strategy == .simpleOneForOne
                    ? []
                    : [
                        .make(1, backoff: backoff),
                        .make(
                            2, restart: self.second, isSignificant: isSignificant, backoff: backoff, canBeKilled: false),
                    ])
        }

        func newChild(_ key: Int) -> SupervisorMachine.Child {
            .make(
                key, "c3", restart: self.second, isSignificant: self.autoShutdown != .never && self.second != .permanent
            )
        }
    }

    /// The states that are visited in each setting: more in the simulation stage than in the unit stage.
    private static let stateLimit = SeededRandom.isThorough ? 6000 : 300

    /// Breadth first over everything that can happen, from the first event on. In every state reached, events of
    /// instances long gone change nothing, nothing forbidden is done, and an environment that does what it owes leads
    /// to rest.
    @Test("every event in every state keeps every rule", arguments: Setting.all)
    func everyStateAndEvent(setting: Setting) throws {
        var seen: Set<World> = []
        var frontier = [World(setting.machine)]
        var transitions = 0
        let limit = Self.stateLimit
        // Seven events are enough for a start, a failure, a failed restart, a leak and its return, and a call.
        for _ in 0..<7 {
            var next: [World] = []
            for world in frontier where seen.count < limit {
                for event in world.staleEvents() {
                    var copy = world
                    let actions = copy.feed(event)
                    try #require(actions.isEmpty && copy.machine == world.machine, "stale \(event)")
                }
                var settled = world
                let comesToRest = settled.settle()
                try #require(comesToRest, "does not come to rest: \(world)")
                try #require(settled.violation == nil, "\(settled.violation ?? "") while settling")
                for event in world.possibleEvents(ids: ["c1", "c2", "c9"], newChild: setting.newChild) {
                    var copy = world
                    copy.feed(event)
                    transitions += 1
                    try #require(copy.violation == nil, "\(copy.violation ?? "") after \(event)")
                    if seen.insert(copy).inserted { next.append(copy) }
                }
            }
            frontier = next
        }
        #expect(transitions > 1000)
    }

    // MARK: - Random steps under a virtual clock

    @Test(
        "10,000 random steps: never two instances, never an orphan, intensities exact to the tick",
        arguments: SeededRandom.seeds(2, thorough: 16))
    func randomSteps(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var steps = 0
        while steps < 10_000 {
            let strategy = [RestartStrategy.oneForOne, .oneForAll, .restForOne][Int.random(in: 0..<3, using: &random)]
            let intensity = Int.random(in: 0...5, using: &random)
            let period = Duration.seconds(Int.random(in: 1...10, using: &random))
            let children = (1...Int.random(in: 1...8, using: &random)).map { key in
                SupervisorMachine.Child.make(
                    key, restart: RestartPolicy.allCases[Int.random(in: 0..<3, using: &random)],
                    backoff: Bool.random(using: &random)
                        ? RestartBackoff(first: .seconds(1), longest: .seconds(8), resetAfter: .seconds(20)) : nil)
            }
            var world = World(
                SupervisorMachine(strategy: strategy, intensity: intensity, period: period, children: children))
            var window = Window(intensity: intensity, period: period.components.seconds)
            var now = Duration.zero
            var actions = world.feed(.begin, now: now)
            while !world.isOver, steps < 10_000 {
                steps += 1
                now += .milliseconds(Int.random(in: 0...900, using: &random))
                let events = world.possibleEvents(ids: children.map(\.id), newChild: nil).filter {
                    // The end by call is rare, so that there is much before it.
                    $0 != .shutdown && $0 != .kill || Int.random(in: 0..<300, using: &random) == 0
                }
                guard let event = events.randomElement(using: &random) else { break }
                actions = world.feed(event, now: now)
                try #require(world.violation == nil, "\(world.violation ?? "") after \(event), seed \(seed)")
                try window.check(actions, now: now)
            }
        }
    }

    /// The intensity's rule as its documentation says it, counted naively.
    struct Window {
        let intensity: Int
        let period: Int64
        var restarts: [Int64] = []

        mutating func check(_ actions: [SupervisorMachine.Action], now: Duration) throws {
            for action in actions {
                switch action {
                case .restarting:
                    self.restarts.append(now.components.seconds)
                    try #require(self.recent(now) <= self.intensity, "more restarts than the intensity")
                case .gaveUp:
                    try #require(self.recent(now) == self.intensity, "gave up with restarts left")
                default: break
                }
            }
        }

        func recent(_ now: Duration) -> Int {
            self.restarts.count { $0 >= now.components.seconds - self.period }
        }
    }

    // MARK: - What goes beyond OTP

    private func check(
        _ actual: [SupervisorMachine.Action], _ expected: [SupervisorMachine.Action],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(actual == expected, sourceLocation: sourceLocation)
    }

    private func checkContains(
        _ actual: [SupervisorMachine.Action], _ expected: SupervisorMachine.Action,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(actual.contains(expected), sourceLocation: sourceLocation)
    }

    @Test("a leaked child's successor waits for its end, and the others start with it")
    func leakedSuccessor() {
        var world = World(
            SupervisorMachine(
                strategy: .oneForAll, intensity: 3, period: .seconds(5),
                children: [.make(1), .make(2, canBeKilled: false)]))
        world.feed(.begin)
        world.feed(.ready(1, instance: 1))
        world.feed(.ready(2, instance: 1))
        self.checkContains(world.feed(.ended(1, instance: 1, .failed("x"))), .stop(2, instance: 1))
        let leaked = world.feed(.stopOverdue(2, instance: 1))
        #expect(leaked == [.leaked(2), .start(1, instance: 2)])
        self.check(world.feed(.ready(1, instance: 2)), [])
        // It ends after all: that is a restart of its own, of the whole group.
        let returned = world.feed(.ended(2, instance: 1, .shutdown(nil)))
        #expect(returned.first == .returned(2))
        #expect(returned.last == .stop(1, instance: 2))
        self.check(world.feed(.ended(1, instance: 2, .shutdown(nil))), [.start(1, instance: 3)])
        self.check(world.feed(.ready(1, instance: 3)), [.start(2, instance: 2)])
        #expect(world.violation == nil)
    }

    @Test("a supervisor that fails to start and leaves something behind does not keep its parent")
    func leakWhileStarting() {
        var world = World(
            SupervisorMachine(
                strategy: .oneForOne, intensity: 3, period: .seconds(5), children: [.make(1), .make(2)]))
        world.feed(.begin)
        world.feed(.ready(1, instance: 1))
        let actions = world.feed(.leftBehind(2, instance: 1))
        #expect(actions.contains(.leaked(2)) && actions.contains(.stop(1, instance: 1)))
        let last = world.feed(.ended(1, instance: 1, .normal)).last
        #expect(
            last
                == .finished(
                    .failedToStart(child: "c2", reason: "it failed to start and left something behind")))
    }

    @Test("a transient supervisor that ended in order but left something behind is not started again")
    func orderlyEndWithLeak() {
        var world = World(
            SupervisorMachine(
                strategy: .oneForOne, intensity: 3, period: .seconds(5), autoShutdown: .anySignificant,
                children: [.make(1, restart: .transient, isSignificant: true)]))
        world.feed(.begin)
        world.feed(.ready(1, instance: 1))
        self.check(world.feed(.leftBehind(1, instance: 1)), [.leaked(1)])
        let actions = world.feed(.ended(1, instance: 1, .shutdown(nil)))
        #expect(actions == [.returned(1), .finished(.autoShutdown(child: "c1"))])
    }

    @Test("a hung child that leaked is restarted for having hung, when it has ended")
    func hungAndLeaked() {
        var world = World(
            SupervisorMachine(
                strategy: .oneForOne, intensity: 3, period: .seconds(5), children: [.make(1, canBeKilled: false)]))
        world.feed(.begin)
        world.feed(.ready(1, instance: 1))
        world.feed(.silent(1, instance: 1, .seconds(30)))
        self.check(world.feed(.stopOverdue(1, instance: 1)), [.leaked(1)])
        let actions = world.feed(.ended(1, instance: 1, .normal))
        #expect(
            actions == [
                .returned(1),
                .restarting(1, reason: "no heartbeat for 30.0 seconds", label: "hung", pause: .zero),
                .start(1, instance: 2),
            ])
    }

    @Test("pauses double up to the longest, and a quiet time starts them over")
    func backoff() {
        let backoff = RestartBackoff(first: .seconds(1), longest: .seconds(5), resetAfter: .seconds(60))
        var world = World(
            SupervisorMachine(
                strategy: .oneForOne, intensity: 100, period: .seconds(5), children: [.make(1, backoff: backoff)]))
        world.feed(.begin)
        var now = Duration.zero
        var pauses: [Duration] = []
        for (instance, uptime) in zip(1..., [1, 1, 1, 1, 60, 59].map(Duration.seconds)) {
            world.feed(.ready(1, instance: instance), now: now)
            now += uptime
            for case .pause(_, let pause, let duration) in world.feed(.ended(1, instance: instance, .normal), now: now)
            {
                pauses.append(duration)
                world.feed(.pauseEnded(1, pause: pause), now: now)
            }
        }
        #expect(pauses == [1, 2, 4, 5, 1, 2].map(Duration.seconds))
    }

    @Test("a child that hangs is instructed to end, others are served meanwhile, and its end is a failure")
    func hung() {
        var world = World(
            SupervisorMachine(
                strategy: .oneForOne, intensity: 3, period: .seconds(5),
                children: [.make(1, restart: .transient), .make(2)]))
        world.feed(.begin)
        world.feed(.ready(1, instance: 1))
        world.feed(.ready(2, instance: 1))
        self.check(world.feed(.silent(1, instance: 1, .seconds(30))), [.stop(1, instance: 1)])
        self.checkContains(world.feed(.ended(2, instance: 1, .failed("x"))), .start(2, instance: 2))
        world.feed(.ready(2, instance: 2))
        let actions = world.feed(.ended(1, instance: 1, .normal))
        #expect(actions.contains(.start(1, instance: 2)))
        #expect(world.machine.children[1]?.lastExit == .hung(.seconds(30)))
    }

    @Test("a child that never comes up does not keep its supervisor from ending")
    func endWhileStarting() {
        var world = World(
            SupervisorMachine(
                strategy: .oneForOne, intensity: 3, period: .seconds(5), children: [.make(1), .make(2)]))
        world.feed(.begin)
        world.feed(.ready(1, instance: 1))
        self.check(world.feed(.shutdown), [.stop(2, instance: 1)])
        self.check(world.feed(.startEnded(2, instance: 1, .failed("cancelled"))), [.stop(1, instance: 1)])
        self.check(world.feed(.ended(1, instance: 1, .shutdown(nil))), [.finished(.shutdown)])
    }
}
