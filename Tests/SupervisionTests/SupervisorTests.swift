import Logging
import Testing

@testable import Supervision

/// Lets a test's expectations call the machine's mutating methods.
final class MachineBox {
    private var machine: SupervisorMachine

    init(
        intensity: Int, period: Duration, autoShutdown: SupervisorMachine.AutoShutdown,
        children: [SupervisorMachine.Child]
    ) {
        self.machine = SupervisorMachine(
            intensity: intensity, period: period, autoShutdown: autoShutdown, children: children)
    }

    var isFinished: Bool { self.machine.isFinished }

    func handle(_ event: SupervisorMachine.Event, now: Duration) -> [SupervisorMachine.Action] {
        self.machine.handle(event, now: now)
    }
}

@Suite("The supervisor's decisions")
struct SupervisorMachineTests {
    private func machine(
        _ children: [(String, RestartPolicy)], intensity: Int = 3, autoShutdown: SupervisorMachine.AutoShutdown = .never
    ) -> MachineBox {
        MachineBox(
            intensity: intensity, period: .seconds(5), autoShutdown: autoShutdown,
            children: children.map {
                SupervisorMachine.Child(id: $0.0, restart: $0.1, isSignificant: true, backoff: nil)
            })
    }

    private func start(_ machine: MachineBox, _ ids: String...) {
        _ = machine.handle(.begin, now: .zero)
        for id in ids { _ = machine.handle(.ready(id: id, instance: 1), now: .zero) }
    }

    @Test("children start in order, each after the one before is ready")
    func orderedStart() {
        let machine = self.machine([("a", .permanent), ("b", .permanent)])
        #expect(machine.handle(.begin, now: .zero) == [.start(id: "a", instance: 1)])
        #expect(machine.handle(.ready(id: "a", instance: 1), now: .zero) == [.start(id: "b", instance: 1)])
        #expect(machine.handle(.ready(id: "b", instance: 1), now: .zero) == [.allReady])
    }

    @Test("children stop in reverse, each after the one behind is gone")
    func reverseStop() {
        let machine = self.machine([("a", .permanent), ("b", .permanent)])
        self.start(machine, "a", "b")
        #expect(machine.handle(.shutdown, now: .zero) == [.stop(id: "b", instance: 1)])
        #expect(machine.handle(.exited(id: "b", instance: 1, .shutdown), now: .zero) == [.stop(id: "a", instance: 1)])
        #expect(machine.handle(.exited(id: "a", instance: 1, .shutdown), now: .zero) == [.finished(nil)])
    }

    @Test(
        "the restart policy decides what an end means",
        arguments: [
            (RestartPolicy.permanent, ChildExit.normal, true), (.permanent, .failed("x"), true),
            (.transient, .normal, false),
            (.transient, .failed("x"), true), (.temporary, .normal, false), (.temporary, .failed("x"), false),
        ])
    func restartPolicies(policy: RestartPolicy, exit: ChildExit, restarts: Bool) {
        let machine = self.machine([("a", policy)])
        self.start(machine, "a")
        let actions = machine.handle(.exited(id: "a", instance: 1, exit), now: .zero)
        #expect(actions.contains(.start(id: "a", instance: 2)) == restarts)
    }

    @Test("more restarts than the intensity within the period stop everything; one fewer do not")
    func intensity() {
        let machine = self.machine([("a", .permanent)], intensity: 2)
        self.start(machine, "a")
        _ = machine.handle(.exited(id: "a", instance: 1, .failed("x")), now: .seconds(1))
        _ = machine.handle(.exited(id: "a", instance: 2, .failed("x")), now: .seconds(2))
        let actions = machine.handle(.exited(id: "a", instance: 3, .failed("x")), now: .seconds(3))
        guard case .finished(let error?) = actions.last else { return #expect(Bool(false), "expected the end") }
        #expect(error.code == .gaveUp)
    }

    @Test("restarts that lie further back than the period do not count")
    func windowSlides() {
        let machine = self.machine([("a", .permanent)], intensity: 1)
        self.start(machine, "a")
        for instance in 1...20 {
            let actions = machine.handle(
                .exited(id: "a", instance: instance, .failed("x")), now: .seconds(6 * instance))
            #expect(actions.contains(.start(id: "a", instance: instance + 1)))
        }
    }

    @Test("a child that fails before it is ready at the first start unwinds those before it")
    func failedStart() {
        let machine = self.machine([("a", .permanent), ("b", .permanent)])
        self.start(machine, "a")
        #expect(
            machine.handle(.exited(id: "b", instance: 1, .failed("x")), now: .zero) == [.stop(id: "a", instance: 1)])
        let actions = machine.handle(.exited(id: "a", instance: 1, .shutdown), now: .zero)
        guard case .finished(let error?) = actions.first else { return #expect(Bool(false), "expected the end") }
        #expect(error.code == .failedToStart)
    }

    @Test("events of an earlier instance change nothing")
    func staleEvents() {
        let machine = self.machine([("a", .permanent)])
        self.start(machine, "a")
        _ = machine.handle(.exited(id: "a", instance: 1, .failed("x")), now: .zero)
        #expect(machine.handle(.exited(id: "a", instance: 1, .failed("x")), now: .zero) == [])
        #expect(machine.handle(.ready(id: "a", instance: 1), now: .zero) == [])
        #expect(machine.handle(.stopOverdue(id: "a", instance: 1), now: .zero) == [])
        #expect(machine.handle(.restartDue(id: "a", instance: 1), now: .zero) == [])
    }

    @Test("backoff doubles up to its cap and starts over after a quiet time")
    func backoff() {
        let backoff = RestartBackoff(first: .seconds(1), longest: .seconds(4), resetAfter: .seconds(60))
        let machine = MachineBox(
            intensity: 100, period: .seconds(1), autoShutdown: .never,
            children: [SupervisorMachine.Child(id: "a", restart: .permanent, isSignificant: false, backoff: backoff)])
        self.start(machine, "a")
        var now = Duration.zero
        var pauses: [Duration] = []
        for instance in 1...5 {
            now += instance == 5 ? .seconds(61) : .seconds(2)
            for action in machine.handle(.exited(id: "a", instance: instance, .failed("x")), now: now) {
                if case .scheduleRestart(_, _, let pause) = action { pauses.append(pause) }
            }
            _ = machine.handle(.restartDue(id: "a", instance: instance), now: now)
            _ = machine.handle(.ready(id: "a", instance: instance + 1), now: now)
        }
        #expect(pauses == [.seconds(1), .seconds(2), .seconds(4), .seconds(4), .seconds(1)])
    }

    @Test("a child that ignores its stop is leaked and the rest stops all the same")
    func leak() {
        let machine = self.machine([("a", .permanent), ("b", .permanent)])
        self.start(machine, "a", "b")
        _ = machine.handle(.shutdown, now: .zero)
        #expect(
            machine.handle(.stopOverdue(id: "b", instance: 1), now: .zero) == [
                .leaked(id: "b"), .stop(id: "a", instance: 1),
            ])
    }

    @Test("auto-shutdown follows the own end of significant children")
    func autoShutdown() {
        let anyOf = self.machine([("a", .transient), ("b", .transient)], autoShutdown: .anySignificant)
        self.start(anyOf, "a", "b")
        #expect(anyOf.handle(.exited(id: "a", instance: 1, .normal), now: .zero) == [.stop(id: "b", instance: 1)])
        let allOf = self.machine([("a", .transient), ("b", .transient)], autoShutdown: .allSignificant)
        self.start(allOf, "a", "b")
        #expect(allOf.handle(.exited(id: "a", instance: 1, .normal), now: .zero) == [])
        #expect(allOf.handle(.exited(id: "b", instance: 1, .normal), now: .zero) == [.finished(nil)])
    }

    @Test("10,000 random events: never two instances of a child, never a start after the end", arguments: [1, 2, 3, 4])
    func randomEvents(seed: UInt64) {
        var random = SplitMix(state: seed)
        var machine = self.machine([("a", .permanent), ("b", .transient), ("c", .temporary)], intensity: 5)
        var alive: [String: Int] = [:]
        var now = Duration.zero
        func apply(_ actions: [SupervisorMachine.Action]) {
            for action in actions {
                if case .start(let id, let instance) = action {
                    #expect(alive[id] == nil, "two instances of \(id)")
                    alive[id] = instance
                }
            }
        }
        apply(machine.handle(.begin, now: now))
        for _ in 0..<10_000 {
            if machine.isFinished {
                #expect(alive.isEmpty, "a child outlived its supervisor")
                machine = self.machine([("a", .permanent), ("b", .transient), ("c", .temporary)], intensity: 5)
                alive = [:]
                apply(machine.handle(.begin, now: now))
            }
            now += .milliseconds(Int64(random.next() % 2000))
            guard let (id, instance) = alive.sorted(by: { $0.key < $1.key }).randomElement(using: &random) else {
                apply(machine.handle(.shutdown, now: now))
                continue
            }
            switch random.next() % 10 {
            case 0...3: apply(machine.handle(.ready(id: id, instance: instance), now: now))
            case 4...7:
                alive[id] = nil
                apply(
                    machine.handle(
                        .exited(id: id, instance: instance, random.next() % 3 == 0 ? .normal : .failed("x")), now: now))
            case 8: apply(machine.handle(.stopChild(id: id), now: now))
            default: if random.next() % 20 == 0 { apply(machine.handle(.shutdown, now: now)) }
            }
        }
    }
}

@Suite("The supervisor")
struct SupervisorTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test("a failing child is started again until it stays, and a cancelled supervisor leaves none behind")
    func restarts() async throws {
        let (ups, up) = AsyncStream<Void>.makeStream()
        let counters = Counters(starts: 0, up: up)
        let supervisor = try Supervisor(
            .init(name: "test", intensity: 10, period: .seconds(60)),
            children: [
                ChildSpecification(id: "a") { ready in
                    try await counters.run(ready: ready)
                }
            ], logger: self.logger)
        let task = Task { try await supervisor.run() }
        for await _ in ups { break }
        #expect(await counters.starts == 4)
        task.cancel()
        try await task.value
        #expect(await counters.alive == 0)
    }

    @Test("a spent budget ends the supervisor with an error that names the child")
    func givesUp() async throws {
        let supervisor = try Supervisor(
            .init(name: "test", intensity: 2, period: .seconds(60)),
            children: [
                ChildSpecification(id: "broken") { ready in
                    ready()
                    throw SupervisionError(code: .gaveUp, message: "as planned")
                }
            ], logger: self.logger)
        let error = await #expect(throws: SupervisionError.self) { try await supervisor.run() }
        #expect(error?.message.contains("broken") == true)
    }

    @Test("two children of one id are refused before anything starts")
    func duplicateIDs() {
        #expect(throws: SupervisionError.self) {
            try Supervisor(
                .init(name: "test"),
                children: [ChildSpecification(id: "a") { _ in }, ChildSpecification(id: "a") { _ in }],
                logger: self.logger)
        }
    }
}

private actor Counters {
    private(set) var starts: Int
    private(set) var alive = 0
    private let up: AsyncStream<Void>.Continuation

    init(starts: Int, up: AsyncStream<Void>.Continuation) {
        self.starts = starts
        self.up = up
    }

    func run(ready: @Sendable () -> Void) async throws {
        self.starts += 1
        self.alive += 1
        defer { self.alive -= 1 }
        ready()
        if self.starts < 4 { throw SupervisionError(code: .failedToStart, message: "not yet") }
        self.up.yield()
        try await ContinuousClock().sleep(for: .seconds(3600))
    }
}

/// A small random generator with a seed (Steele, Lea, Flood: SplitMix64).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var value = self.state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
