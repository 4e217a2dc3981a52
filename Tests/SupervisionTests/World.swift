@testable import Supervision

/// The children of a machine as they would be: what the machine's actions start, ask and kill, and the rules that
/// must hold whatever happens. Its state is part of what an exhaustive search looks at.
struct World: Hashable {
    typealias Key = SupervisorMachine.Key
    typealias Event = SupervisorMachine.Event

    struct Life: Hashable {
        let instance: Int
        var isReady = false
        var isAsked = false
        var isKilled = false
        var isLeaked = false
    }

    var machine: SupervisorMachine
    var lives: [Key: Life] = [:]
    var pauses: [Key: Int] = [:]
    var openCalls: Set<Int> = []
    var newChildren = 0
    var isOver = false
    /// What was seen that must never be.
    var violation: String?

    init(_ machine: SupervisorMachine) { self.machine = machine }

    /// Feeds an event and carries out what follows. Returns the actions.
    @discardableResult
    mutating func feed(_ event: Event, now: Duration = .zero) -> [SupervisorMachine.Action] {
        self.note(event)
        let wasOver = self.isOver
        let actions = self.machine.handle(event, now: now)
        for action in actions { self.perform(action, wasOver: wasOver) }
        if self.isOver, !self.openCalls.isEmpty { self.violation = "calls are left without an answer" }
        return actions
    }

    private mutating func note(_ event: Event) {
        switch event {
        case .ready(let key, let instance):
            if self.lives[key]?.instance == instance { self.lives[key]?.isReady = true }
        case .ended(let key, let instance, _), .startEnded(let key, let instance, _):
            if self.lives[key]?.instance == instance { self.lives[key] = nil }
        case .call(let id, let call):
            self.openCalls.insert(id)
            if case .start = call { self.newChildren += 1 }
        default: break
        }
    }

    private mutating func perform(_ action: SupervisorMachine.Action, wasOver: Bool) {
        if wasOver {
            switch action {
            case .returned, .forget, .reply: break
            default: self.violation = "\(action) after the end"
            }
        }
        switch action {
        case .start(let key, let instance):
            if let life = self.lives[key] { self.violation = "\(key) starts while instance \(life.instance) lives" }
            if self.lives.values.contains(where: { !$0.isReady && !$0.isLeaked && !$0.isAsked }) {
                self.violation = "two children start at once"
            }
            self.lives[key] = Life(instance: instance)
        case .stop(let key, let instance), .kill(let key, let instance):
            guard self.lives[key]?.instance == instance else {
                self.violation = "\(key) is to be stopped, which does not live"
                return
            }
            self.lives[key]?.isAsked = true
            if case .kill = action { self.lives[key]?.isKilled = true }
        case .leaked(let key): self.lives[key]?.isLeaked = true
        case .pause(let key, let pause, _): self.pauses[key] = pause
        case .reply(let id, _):
            if self.openCalls.remove(id) == nil { self.violation = "call \(id) is answered twice" }
        case .finished:
            self.isOver = true
            if let orphan = self.lives.first(where: { !$0.value.isLeaked }) {
                self.violation = "\(orphan.key) outlives its supervisor"
            }
        case .restarting, .gaveUp, .startFailed, .startIgnored, .returned, .forget, .allReady: break
        }
    }

    /// Everything that could happen next, the impossible but harmless included: events of instances long gone.
    func possibleEvents(ids: [String], newChild: ((_ key: Key) -> SupervisorMachine.Child)?) -> [Event] {
        var events: [Event] = [.begin, .shutdown, .kill]
        for (key, life) in self.lives {
            let instance = life.instance
            if !life.isReady {
                events.append(.ready(key, instance: instance))
                events += [
                    .startEnded(key, instance: instance, .failed("x")), .startEnded(key, instance: instance, .ignored),
                ]
            } else {
                events += [
                    .ended(key, instance: instance, .normal), .ended(key, instance: instance, .failed("x")),
                    .silent(key, instance: instance, .seconds(1)),
                ]
            }
            events.append(.leftBehind(key, instance: instance))
            if life.isAsked { events.append(.stopOverdue(key, instance: instance)) }
            if life.isKilled { events.append(.killOverdue(key, instance: instance)) }
        }
        for (key, pause) in self.pauses { events.append(.pauseEnded(key, pause: pause)) }
        let call = 1
        if !self.openCalls.contains(call) {
            for id in ids {
                events += [
                    .call(call, .terminate(id: id)), .call(call, .restart(id: id)), .call(call, .delete(id: id)),
                ]
            }
            for (key, child) in self.machine.children {
                events.append(.call(call, .terminateReference(child.reference)))
                _ = key
            }
            // As the actor does, a key is used once.
            if let newChild, self.newChildren < 2 { events.append(.call(call, .start(newChild(3 + self.newChildren)))) }
            events.append(.call(call, .look))
        }
        return events
    }

    /// Events of instances that are gone, none of which may change anything.
    func staleEvents() -> [Event] {
        self.machine.children.values.filter { $0.instance > 0 && self.lives[$0.key] == nil }.flatMap { child in
            [
                Event.ready(child.key, instance: child.instance - 1), .ready(child.key, instance: child.instance),
                .ended(child.key, instance: child.instance - 1, .failed("late")),
                .ended(child.key, instance: child.instance, .failed("twice")),
                .startEnded(child.key, instance: child.instance - 1, .failed("late")),
                .stopOverdue(child.key, instance: child.instance), .killOverdue(child.key, instance: child.instance),
                .silent(child.key, instance: child.instance, .seconds(9)),
                .leftBehind(child.key, instance: child.instance),
            ]
        }
    }

    /// Lets the environment do what is owed: starts come up, what is stopped ends, pauses pass. True when
    /// the supervisor comes to rest or to its end.
    mutating func settle() -> Bool {
        self.feed(.begin)
        for _ in 0..<200 {
            if self.machine.isAtRest && !self.lives.values.contains(where: { $0.isAsked }) { return true }
            if let (key, life) = self.lives.first(where: { !$0.value.isReady || $0.value.isAsked }) {
                self.feed(
                    life.isAsked
                        ? (life.isReady
                            ? .ended(key, instance: life.instance, .shutdown(nil))
                            : .startEnded(key, instance: life.instance, .failed("asked to end")))
                        : .ready(key, instance: life.instance))
            } else if let (key, pause) = self.pauses.first {
                self.pauses[key] = nil
                self.feed(.pauseEnded(key, pause: pause))
            } else {
                return self.machine.isAtRest
            }
        }
        return false
    }
}

extension SupervisorMachine.Child {
    /// A worker with these policies.
    static func make(
        _ key: Int, _ id: String? = nil, restart: RestartPolicy = .permanent, isSignificant: Bool = false,
        shutdown: ShutdownPolicy = .timeout(.seconds(5)), backoff: RestartBackoff? = nil, canBeKilled: Bool = true
    ) -> Self {
        SupervisorMachine.Child(
            key: key, id: id ?? "c\(key)", restart: restart, shutdown: shutdown, type: .worker,
            isSignificant: isSignificant, backoff: backoff, canBeKilled: canBeKilled)
    }
}
