import Domain
import Logging
import Synchronization
import TestSupport
import Testing

@testable import Supervision

private let quiet = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

/// Something that can be opened once, and waited for; the wait ignores cancellation.
private final class Gate: Sendable {
    private let state = Mutex((isOpen: false, waiters: [CheckedContinuation<Void, Never>]()))

    func open() {
        let waiters = self.state.withLock { state in
            state.isOpen = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = self.state.withLock { state in
                if !state.isOpen { state.waiters.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}

/// What supervisors reported, with a way to wait for it.
private final class Events: Sendable {
    private let state = Mutex((list: [SupervisionEvent](), waiters: [CheckedContinuation<Void, Never>]()))

    var all: [SupervisionEvent] { self.state.withLock { $0.list } }

    func add(_ event: SupervisionEvent) {
        let waiters = self.state.withLock { state in
            state.list.append(event)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func count(_ isWanted: @Sendable (SupervisionEvent) -> Bool) -> Int { self.all.count(where: isWanted) }

    /// Waits for the nth such event; the suite's time limit ends a wait for one that does not come.
    func wait(_ number: Int = 1, _ isWanted: @Sendable (SupervisionEvent) -> Bool) async {
        while true {
            let seen = self.all
            if seen.count(where: isWanted) >= number { return }
            await withCheckedContinuation { continuation in
                let isNew = self.state.withLock { state in
                    if state.list.count == seen.count { state.waiters.append(continuation) }
                    return state.list.count > seen.count
                }
                if isNew { continuation.resume() }
            }
        }
    }
}

private struct Crash: Error, CustomStringConvertible { let description: String }

/// Waits until it is cancelled.
private func untilCancelled() async throws {
    let (never, feed) = AsyncStream<Never>.makeStream()
    for await _ in never {}
    withExtendedLifetime(feed) {}
    try Task.checkCancellation()
}

/// Runs a supervisor while the body lasts, then stops it and waits for its end.
private func withSupervisor(
    _ configuration: Supervisor.Configuration, _ children: [ChildSpecification], _ environment: SupervisionEnvironment,
    _ body: (Supervisor) async throws -> Void
) async throws {
    let supervisor = try Supervisor(configuration, children: children, environment: environment)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await supervisor.run() }
        defer { group.cancelAll() }
        try await body(supervisor)
    }
}

@Suite("The supervisor", .timeLimit(.minutes(5)))
struct SupervisorTests {
    private let events = Events()

    private func environment(
        clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Duration = SupervisionEnvironment.monotonicNow, stormGuard: StormGuard? = nil,
        killGrace: Duration = .milliseconds(20)
    ) -> SupervisionEnvironment {
        let events = self.events
        return SupervisionEnvironment(
            logger: quiet, stormGuard: stormGuard, observe: { events.add($0) }, clock: clock, now: now, jitter: { 1 },
            killGrace: killGrace)
    }

    // MARK: - What is checked before anything starts

    struct Refusal: Sendable, CustomTestStringConvertible {
        let rule: SpecificationRule
        let configuration: Supervisor.Configuration
        let children: [ChildSpecification]

        var testDescription: String { self.rule.rawValue }
    }

    private static func child(_ change: (inout ChildSpecification) -> Void = { _ in }) -> ChildSpecification {
        var child = ChildSpecification(id: "fine") { $0.ready() }
        change(&child)
        return child
    }

    static let refusals: [Refusal] = {
        func one(_ rule: SpecificationRule, _ change: (inout ChildSpecification) -> Void) -> Refusal {
            var bad = Self.child(change)
            if rule != .emptyID { bad.id = "culprit" }
            return Refusal(
                rule: rule, configuration: Supervisor.Configuration(name: "s"), children: [Self.child(), bad])
        }
        return [
            Refusal(rule: .invalidIntensity, configuration: .init(name: "s", intensity: -1), children: []),
            Refusal(rule: .invalidPeriod, configuration: .init(name: "s", period: .zero), children: []),
            Refusal(rule: .invalidPeriod, configuration: .init(name: "s", period: .milliseconds(1500)), children: []),
            Refusal(
                rule: .duplicateID, configuration: .init(name: "s"),
                children: [Self.child { $0.id = "culprit" }, Self.child { $0.id = "culprit" }]),
            Refusal(rule: .oneTemplate, configuration: .init(name: "s", strategy: .simpleOneForOne), children: []),
            one(.emptyID) { $0.id = "" },
            one(.significantWithoutAutoShutdown) { $0.isSignificant = true },
            Refusal(
                rule: .significantPermanent, configuration: .init(name: "s", autoShutdown: .anySignificant),
                children: [
                    Self.child {
                        $0.id = "culprit"
                        $0.isSignificant = true
                    }
                ]),
            one(.invalidShutdown) { $0.shutdown = .timeout(.seconds(-1)) },
            one(.invalidBackoff) {
                $0.backoff = RestartBackoff(first: .seconds(2), longest: .seconds(1), resetAfter: .zero)
            },
            one(.invalidBackoff) { $0.backoff = RestartBackoff(first: .zero, longest: .seconds(1), resetAfter: .zero) },
            one(.invalidHeartbeatLimit) { $0.heartbeatLimit = .zero },
        ]
    }()

    @Test("a bad specification is refused by name and rule", arguments: Self.refusals)
    func refusal(_ refusal: Refusal) throws {
        let error = #expect(throws: SupervisionError.self) {
            try Supervisor(refusal.configuration, children: refusal.children, environment: self.environment())
        }
        #expect(error?.code == .invalidSpecification(refusal.rule))
        #expect(error?.message.contains(refusal.rule.rawValue) == true)
        let named = refusal.children.contains { $0.id == "culprit" } ? "'culprit'" : "'s'"
        #expect(error?.message.contains(named) == true)
    }

    // MARK: - Ownership

    /// Counts how many of it there are.
    private final class Resource: Sendable {
        static let counts = Mutex((alive: 0, most: 0, made: 0))

        init() {
            Self.counts.withLock { counts in
                counts.alive += 1
                counts.made += 1
                counts.most = max(counts.most, counts.alive)
            }
        }

        deinit { Self.counts.withLock { $0.alive -= 1 } }
    }

    @Test("what a child owns is released once, before its successor starts")
    func ownership() async throws {
        let child = ChildSpecification(id: "owner") { child in
            let resource = Resource()
            child.ready()
            await Task.yield()
            try withExtendedLifetime(resource) { throw Crash(description: "again") }
        }
        let configuration = Supervisor.Configuration(name: "s", intensity: 500, period: .seconds(3600))
        let supervisor = try Supervisor(configuration, children: [child], environment: self.environment())
        await #expect(throws: SupervisionError.self) { try await supervisor.run() }
        Resource.counts.withLock { counts in
            #expect(counts.made == 501)
            #expect(counts.most == 1)
            #expect(counts.alive == 0)
        }
    }

    // MARK: - Children that do not end

    @Test("a child that ignores its cancellation is reported as leaked, blocks its successor, and may return")
    func leak() async throws {
        let gate = Gate()
        let deaf = ChildSpecification(id: "deaf", shutdown: .timeout(.milliseconds(10))) { child in
            child.ready()
            await gate.wait()
        }
        let other = ChildSpecification(id: "other") { child in
            child.ready()
            try await untilCancelled()
        }
        try await withSupervisor(.init(name: "s"), [deaf, other], self.environment()) { supervisor in
            try await supervisor.terminateChild("deaf")
            #expect(await supervisor.children.map(\.state) == [.leaked, .running])
            #expect(await supervisor.tree().leaked == ["s/deaf"])
            await #expect(throws: SupervisionError.self) { try await supervisor.restartChild("deaf") }
            gate.open()
            await self.events.wait { $0.kind == .returned }
            #expect(try await supervisor.restartChild("deaf")?.instance == 2)
        }
        #expect(self.events.count { $0.kind == .leaked } == 1)
    }

    @Test("a supervisor that leaves something behind has leaked for its parent, whose stop does not wait for it")
    func leakBelow() async throws {
        let gate = Gate()
        let environment = self.environment()
        let inner = ChildSpecification.supervisor(id: "inner") {
            try Supervisor(
                .init(name: "inner"),
                children: [
                    ChildSpecification(id: "deaf", shutdown: .timeout(.milliseconds(10))) { child in
                        child.ready()
                        await gate.wait()
                    }
                ], environment: environment)
        }
        try await withSupervisor(.init(name: "outer"), [inner], environment) { supervisor in
            try await supervisor.whichChildren().forEach { #expect($0.state == .running) }
            try await supervisor.terminateChild("inner")
            #expect(await supervisor.tree().leaked == ["outer/inner", "outer/inner/deaf"])
        }
        // The outer one has ended although the gate is still closed.
        gate.open()
    }

    @Test("the last resort ends a child that ignores its cancellation, which has not leaked then")
    func kill() async throws {
        let gate = Gate()
        let deaf = ChildSpecification(id: "deaf", shutdown: .timeout(.milliseconds(10)), kill: { gate.open() }) {
            child in
            child.ready()
            await gate.wait()
        }
        try await withSupervisor(.init(name: "s"), [deaf], self.environment(killGrace: .seconds(60))) { supervisor in
            try await supervisor.terminateChild("deaf")
            #expect(await supervisor.children.map(\.state) == [.none])
        }
        #expect(self.events.count { $0.kind == .ended(.killed) } == 1)
        #expect(self.events.count { $0.kind == .leaked } == 0)
    }

    @Test("a child that gives no heartbeat is stopped and restarted; one that does is left alone")
    func heartbeat() async throws {
        let clock = VirtualClock()
        let environment = self.environment(clock: clock, now: { clock.now.offset })
        let hanging = ChildSpecification(id: "hanging", heartbeatLimit: .seconds(30)) { child in
            child.ready()
            try await untilCancelled()
        }
        let (beats, beat) = AsyncStream<Gate>.makeStream()
        let beating = ChildSpecification(id: "beating", heartbeatLimit: .seconds(30)) { child in
            child.ready()
            for await done in beats {
                child.heartbeat()
                done.open()
            }
        }
        try await withSupervisor(.init(name: "s"), [hanging, beating], environment) { supervisor in
            _ = try await supervisor.whichChildren()
            await clock.waitForSleeper()
            for _ in 0..<2 {
                clock.advance(by: .seconds(15))
                let done = Gate()
                beat.yield(done)
                await done.wait()
            }
            await self.events.wait { $0.child?.id == "hanging" && $0.kind == .ended(.hung(.seconds(30))) }
            await self.events.wait(2) { $0.child?.id == "hanging" && $0.kind == .started }
            let children = try await supervisor.whichChildren()
            #expect(children.map(\.restarts) == [1, 0])
            #expect(children.first?.lastReason == "no heartbeat for 30.0 seconds")
        }
    }

    @Test("a process that was stopped for a while takes nobody for hung")
    func lateAlarm() async throws {
        let clock = VirtualClock()
        let environment = self.environment(clock: clock, now: { clock.now.offset })
        let child = ChildSpecification(id: "c", heartbeatLimit: .seconds(30)) { child in
            child.ready()
            try await untilCancelled()
        }
        try await withSupervisor(.init(name: "s"), [child], environment) { supervisor in
            _ = try await supervisor.whichChildren()
            await clock.waitForSleeper()
            clock.advance(by: .seconds(300))
            // It is watched again from then on.
            await clock.waitForSleeper()
            #expect(!self.events.all.map(\.kind).contains(.hung(.seconds(300))))
            clock.advance(by: .seconds(30))
            await self.events.wait { $0.kind == .ended(.hung(.seconds(330))) }
        }
    }

    // MARK: - States

    @Test("a dependency that is away is a state and spends no restart")
    func dependency() async throws {
        let away = Gate()
        let child = ChildSpecification(id: "link") { child in
            child.ready()
            child.dependencyAway("the server is down")
            away.open()
            try await untilCancelled()
        }
        try await withSupervisor(.init(name: "s", intensity: 0), [child], self.environment()) { supervisor in
            await away.wait()
            let status = try await supervisor.whichChildren().first
            #expect(status?.state == .waiting)
            #expect(status?.dependency == "the server is down")
            #expect(status?.restarts == 0)
        }
    }

    @Test("pauses grow with each failure, by the clock that was given")
    func pauses() async throws {
        let clock = VirtualClock()
        let environment = self.environment(clock: clock, now: { clock.now.offset })
        let child = ChildSpecification(
            id: "c", backoff: RestartBackoff(first: .seconds(1), longest: .seconds(60), resetAfter: .seconds(600))
        ) { child in
            child.ready()
            throw Crash(description: "again")
        }
        try await withSupervisor(.init(name: "s", intensity: 9, period: .seconds(3600)), [child], environment) { _ in
            for restart in 1...4 {
                let pause = Duration.seconds(1 << (restart - 1))
                await self.events.wait { $0.kind == .restarting(reason: "again", pause: pause) }
                await clock.waitForSleeper()
                // A moment too early nothing happens.
                clock.advance(by: pause - .milliseconds(1))
                #expect(self.events.count { $0.kind == .started } == restart)
                clock.advance(by: .milliseconds(1))
                await self.events.wait(restart + 1) { $0.kind == .started }
            }
        }
    }

    @Test("restarts of all supervisors count in the storm guard, which calms down after a minute")
    func storm() async throws {
        let clock = VirtualClock()
        let guardian = StormGuard(limit: 3, now: { clock.now.offset })
        let crashing = ChildSpecification(id: "c") { child in
            child.ready()
            throw Crash(description: "again")
        }
        for name in ["one", "two"] {
            let supervisor = try Supervisor(
                .init(name: name, intensity: 2), children: [crashing],
                environment: self.environment(stormGuard: guardian))
            await #expect(throws: SupervisionError.self) { try await supervisor.run() }
            #expect(guardian.isStorm == (name == "two"))
        }
        clock.advance(by: .seconds(61))
        #expect(!guardian.isStorm)
        #expect(guardian.count == 0)
    }

    // MARK: - Calls

    @Test("instances of a template go by reference; each runs what it was given")
    func instances() async throws {
        let template = ChildSpecification(id: "t", restart: .temporary) { _ in }
        try await withSupervisor(.init(name: "s", strategy: .simpleOneForOne), [template], self.environment()) {
            supervisor in
            let references = try await withThrowingTaskGroup(of: ChildReference?.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        try await supervisor.startInstance(named: "n\(number)") { child in
                            child.ready()
                            try await untilCancelled()
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(references.compactMap { $0?.id }).count == 20)
            #expect(await supervisor.counts.active == 20)
            for reference in references.compactMap(\.self) { try await supervisor.terminateChild(reference) }
            #expect(await supervisor.counts.active == 0)
            #expect(await supervisor.children.isEmpty)
        }
    }

    @Test("a call of a supervisor that ends, or has ended, fails and says so")
    func callsAtTheEnd() async throws {
        let supervisor = try Supervisor(.init(name: "s"), children: [], environment: self.environment())
        let running = Task { try await supervisor.run() }
        _ = try await supervisor.whichChildren()
        async let call: Void = {
            // The child never comes up, so the call is under way when the supervisor ends.
            let error = await #expect(throws: SupervisionError.self) {
                try await supervisor.startChild(ChildSpecification(id: "slow") { _ in try await untilCancelled() })
            }
            #expect(error?.code == .notRunning)
        }()
        while await supervisor.children.isEmpty { await Task.yield() }
        supervisor.stop()
        try await running.value
        await call
        let error = await #expect(throws: SupervisionError.self) { try await supervisor.whichChildren() }
        #expect(error?.code == .notRunning)
    }

    // MARK: - Contention

    @Test("50 supervisors of 200 children each, all failing at once: all are back, none lost, none doubled")
    func contention() async throws {
        let (supervisors, children) = (50, 200)
        let alive = Mutex<[String: Int]>([:])
        let mostAtOnce = Mutex(0)
        let environment = SupervisionEnvironment(logger: quiet)
        let failure = Gate()
        let ready = Mutex(0)
        func child(_ supervisor: Int, _ number: Int) -> ChildSpecification {
            let key = "\(supervisor).\(number)"
            let isFirst = Mutex(true)
            return ChildSpecification(id: key) { child in
                let count = alive.withLock { alive in
                    alive[key, default: 0] += 1
                    return alive[key] ?? 0
                }
                mostAtOnce.withLock { $0 = max($0, count) }
                defer { alive.withLock { $0[key, default: 0] -= 1 } }
                child.ready()
                ready.withLock { $0 += 1 }
                let isFirstLife = isFirst.withLock { first in
                    defer { first = false }
                    return first
                }
                guard isFirstLife else { return try await untilCancelled() }
                await failure.wait()
                throw Crash(description: "all at once")
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            var all: [Supervisor] = []
            for supervisor in 0..<supervisors {
                let made = try Supervisor(
                    .init(name: "s\(supervisor)", intensity: children, period: .seconds(3600)),
                    children: (0..<children).map { child(supervisor, $0) }, environment: environment)
                all.append(made)
                group.addTask { try await made.run() }
            }
            func waitForReady(_ count: Int) async throws {
                try await eventually("\(count) lives have begun") { ready.withLock { $0 } >= count }
            }
            try await waitForReady(supervisors * children)
            failure.open()
            try await waitForReady(2 * supervisors * children)
            for supervisor in all {
                let status = try await supervisor.whichChildren()
                #expect(status.count == children)
                #expect(status.allSatisfy { $0.state == .running && $0.restarts == 1 })
            }
            #expect(alive.withLock { $0.values.reduce(0, +) } == supervisors * children)
            group.cancelAll()
            try await group.waitForAll()
        }
        #expect(alive.withLock { $0.values.allSatisfy { $0 == 0 } })
        #expect(mostAtOnce.withLock { $0 } == 1)
    }
}
