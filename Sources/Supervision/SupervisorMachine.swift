internal import DequeModule

/// The decisions of a supervisor: events in, actions out; no clock, no task, no randomness.
///
/// The order of things is OTP's: a supervisor does one thing at a time. What it does now is a list of `steps`,
/// of which it may be `waiting` for one; ends of children and calls that come meanwhile wait in the `inbox`, so
/// that a failing restart, which puts itself at the inbox's end, lets others be served between its tries.
/// Backoff, heartbeats and leaks are additions; without them every trace is OTP's.
struct SupervisorMachine: Hashable {
    typealias Key = Int

    enum Step: Hashable {
        case start(Key, Purpose)
        case stop(Key)
        /// Starts what does not run, in order; from this child on, or all.
        case startGroup(from: Key?)
        case pause(Key, Duration)
        case reply(CallID, Reply)
        case stopAllAtOnce
        case allReady
        case finish(End)
    }

    enum Purpose: Hashable {
        case initial
        case restart
        case call(CallID, isNew: Bool)
    }

    enum Message: Hashable {
        case ended(Key, instance: Int)
        case tryAgain(Key, isStartFailure: Bool, ran: Duration)
        case pauseEnded(Key, pause: Int)
        case call(CallID, Call)
    }

    enum Waiting: Hashable {
        case nothing
        case start(Key, Purpose)
        case stops(Set<Key>)
    }

    enum Life: Hashable {
        case new
        case running
        case ending
        case finished
    }

    let strategy: RestartStrategy
    let autoShutdown: AutoShutdown
    private(set) var window: RestartWindow
    /// Also those of a simple-one-for-one supervisor, whose template is not among them.
    var children: [Key: Child] = [:]
    /// In the order of their starts; not kept for simple-one-for-one, where keys have the order.
    var order: [Key] = []
    var keys: [String: Key] = [:]
    var life = Life.new
    var steps: Deque<Step> = []
    var waiting = Waiting.nothing
    var inbox: Deque<Message> = []
    var starts = 0

    init(
        strategy: RestartStrategy, intensity: Int, period: Duration, autoShutdown: AutoShutdown = .never,
        children: [Child]
    ) {
        self.strategy = strategy
        self.autoShutdown = autoShutdown
        self.window = RestartWindow(intensity: intensity, period: period)
        for child in children { self.insert(child) }
    }

    var isFinished: Bool { self.life == .finished }
    /// Nothing is under way and nothing waits.
    var isAtRest: Bool {
        self.life == .finished
            || (self.life == .running && self.waiting == .nothing && self.steps.isEmpty && self.inbox.isEmpty)
    }
    /// The keys of all children, in the order of their first starts; those of a simple-one-for-one supervisor in
    /// that of their last starts, restarting ones at the end, as OTP's process ids sort.
    var orderedKeys: [Key] {
        guard self.strategy == .simpleOneForOne else { return self.order }
        let children = self.children.values.sorted { left, right in
            let (isLeft, isRight) = (left.phase == .restarting, right.phase == .restarting)
            return isLeft == isRight ? left.startNumber < right.startNumber : isRight
        }
        return children.map(\.key)
    }
    var leakedCount: Int {
        self.children.values.count { if case .leaked = $0.phase { true } else { false } }
    }

    mutating func handle(_ event: Event, now: Duration) -> [Action] {
        var actions: [Action] = []
        self.receive(event, now: now, &actions)
        self.advance(now: now, &actions)
        return actions
    }

    // MARK: - Events

    mutating func receive(_ event: Event, now: Duration, _ actions: inout [Action]) {
        switch event {
        case .begin:
            guard self.life == .new else { return }
            self.life = .running
            self.steps = Deque(self.order.map { .start($0, .initial) } + [.allReady])
        case .ready(let key, let instance): self.ready(key, instance, now: now, &actions)
        case .ended(let key, let instance, let exit): self.ended(key, instance, exit, now: now, &actions)
        case .startEnded(let key, let instance, let failure):
            self.startEnded(key, instance, failure, now: now, &actions)
        case .pauseEnded(let key, let pause): self.inbox.append(.pauseEnded(key, pause: pause))
        case .stopOverdue(let key, let instance): self.stopOverdue(key, instance, now: now, &actions)
        case .killOverdue(let key, let instance), .leftBehind(let key, let instance):
            self.leak(key, instance, now: now, &actions)
        case .silent(let key, let instance, let silence): self.silent(key, instance, silence, &actions)
        case .call(let id, let call):
            guard self.life == .new || self.life == .running else {
                return actions.append(.reply(id, .refused(.notRunning)))
            }
            self.inbox.append(.call(id, call))
        case .shutdown: self.beginEnding(.shutdown, &actions)
        case .kill: self.killAll(&actions)
        }
    }

    func current(_ key: Key, _ instance: Int) -> Child? {
        guard let child = self.children[key], child.instance == instance else { return nil }
        return child
    }

    mutating func ready(_ key: Key, _ instance: Int, now: Duration, _ actions: inout [Action]) {
        guard self.current(key, instance)?.phase == .starting else { return }
        self.children[key]?.phase = .running(since: now)
        guard case .start(key, let purpose) = self.waiting else { return }
        self.waiting = .nothing
        if case .call(let id, _) = purpose {
            actions.append(.reply(id, .started(self.children[key]?.reference)))
        }
    }

    mutating func startEnded(
        _ key: Key, _ instance: Int, _ failure: StartFailure, now: Duration, _ actions: inout [Action]
    ) {
        guard let child = self.current(key, instance) else { return }
        guard child.phase == .starting, case .start(key, let purpose) = self.waiting else {
            // It was instructed to end before it had come up, or ends after it had leaked.
            return self.gone(key, .failed("it ended before it was ready"), now: now, &actions)
        }
        self.waiting = .nothing
        self.children[key]?.phase = .none
        switch failure {
        case .ignored:
            actions.append(.startIgnored(key))
            self.startIgnored(child, purpose, &actions)
        case .failed(let reason):
            self.children[key]?.lastExit = .failed(reason)
            actions.append(.startFailed(key, reason: reason))
            self.startFailed(child, reason, purpose, &actions)
        }
    }

    mutating func startIgnored(_ child: Child, _ purpose: Purpose, _ actions: inout [Action]) {
        if case .call(let id, _) = purpose { actions.append(.reply(id, .started(nil))) }
        if child.restart == .temporary || self.strategy == .simpleOneForOne { self.forget(child.key, &actions) }
    }

    mutating func startFailed(
        _ child: Child, _ reason: String, _ purpose: Purpose, _ actions: inout [Action]
    ) {
        switch purpose {
        case .initial: self.beginEnding(.failedToStart(child: child.id, reason: reason), &actions)
        case .restart:
            // Through the inbox: calls that come meanwhile are served first.
            self.steps = []
            self.children[child.key]?.phase = .restarting
            self.inbox.append(.tryAgain(child.key, isStartFailure: true, ran: .zero))
        case .call(let id, let isNew):
            actions.append(.reply(id, .startFailed(reason)))
            if isNew { self.forget(child.key, &actions) }
        }
    }

    mutating func ended(
        _ key: Key, _ instance: Int, _ exit: ChildExit, now: Duration, _ actions: inout [Action]
    ) {
        guard let child = self.current(key, instance) else { return }
        switch child.phase {
        case .running(let since):
            let exit = child.silence.map { ChildExit.hung($0) } ?? exit
            self.children[key]?.phase = .ended(exit, after: now - since)
            self.children[key]?.lastExit = exit
            self.inbox.append(.ended(key, instance: instance))
        case .stopping, .leaked: self.gone(key, exit, now: now, &actions)
        case .none, .starting, .ended, .restarting: break
        }
    }

    /// A child that was instructed to end, or had leaked, has ended.
    mutating func gone(_ key: Key, _ exit: ChildExit, now: Duration, _ actions: inout [Action]) {
        guard let child = self.children[key] else { return }
        guard case .leaked(let request) = child.phase else {
            self.children[key]?.lastExit = exit
            self.settle(key, &actions)
            return self.stopWaiting(for: key)
        }
        actions.append(.returned(key))
        switch request {
        case .restart(let ran) where self.life == .running:
            self.children[key]?.phase = .restarting
            self.inbox.append(.tryAgain(key, isStartFailure: false, ran: ran))
        case .policy(let since) where self.life == .running:
            self.children[key]?.lastExit = exit
            self.children[key]?.phase = .ended(exit, after: now - since)
            self.inbox.append(.ended(key, instance: child.instance))
        case .nothing, .restart, .policy: self.settle(key, &actions)
        }
    }

    mutating func stopWaiting(for key: Key) {
        guard case .stops(var left) = self.waiting else { return }
        left.remove(key)
        self.waiting = left.isEmpty ? .nothing : .stops(left)
    }

    /// A child that does not run any more: kept for a later restart, or forgotten.
    mutating func settle(_ key: Key, _ actions: inout [Action]) {
        self.children[key]?.phase = .none
        if self.children[key]?.restart == .temporary || self.strategy == .simpleOneForOne {
            self.forget(key, &actions)
        }
    }

    mutating func stopOverdue(_ key: Key, _ instance: Int, now: Duration, _ actions: inout [Action]) {
        guard let child = self.current(key, instance) else { return }
        switch child.phase {
        case .stopping: break
        case .running where child.silence != nil: break
        case .none, .starting, .running, .ended, .restarting, .leaked: return
        }
        if child.canBeKilled {
            actions.append(.kill(key, instance: instance))
        } else {
            self.leak(key, instance, now: now, &actions)
        }
    }

    mutating func leak(_ key: Key, _ instance: Int, now: Duration, _ actions: inout [Action]) {
        guard let child = self.current(key, instance) else { return }
        switch child.phase {
        case .stopping: self.children[key]?.phase = .leaked(.nothing)
        case .running(let since):
            guard let silence = child.silence else {
                // A supervisor that ended by itself and left something behind: no successor before that is gone.
                self.children[key]?.phase = .leaked(.policy(since: since))
                break
            }
            self.children[key]?.lastExit = .hung(silence)
            self.children[key]?.phase = .leaked(child.restart == .temporary ? .nothing : .restart(ran: now - since))
        case .starting:
            return self.leakWhileStarting(child, &actions)
        case .none, .ended, .restarting, .leaked: return
        }
        actions.append(.leaked(key))
        self.stopWaiting(for: key)
    }

    /// A supervisor that failed to start and left something behind: its start has failed, and the next try waits.
    mutating func leakWhileStarting(_ child: Child, _ actions: inout [Action]) {
        guard case .start(child.key, let purpose) = self.waiting else { return }
        let reason = "it failed to start and left something behind"
        self.waiting = .nothing
        self.children[child.key]?.lastExit = .failed(reason)
        self.children[child.key]?.phase = .leaked(purpose == .restart ? .restart(ran: .zero) : .nothing)
        actions += [.startFailed(child.key, reason: reason), .leaked(child.key)]
        switch purpose {
        case .initial: self.beginEnding(.failedToStart(child: child.id, reason: reason), &actions)
        case .restart: self.steps = []
        case .call(let id, _): actions.append(.reply(id, .startFailed(reason)))
        }
    }

    mutating func silent(_ key: Key, _ instance: Int, _ silence: Duration, _ actions: inout [Action]) {
        guard let child = self.current(key, instance), case .running = child.phase, child.silence == nil else { return }
        // Not awaited as a step: others are served while this one is given its time to end.
        self.children[key]?.silence = silence
        actions.append(child.shutdown == .brutalKill ? .kill(key, instance: instance) : .stop(key, instance: instance))
    }

    // MARK: - Steps

    mutating func advance(now: Duration, _ actions: inout [Action]) {
        while self.waiting == .nothing, self.life == .running || self.life == .ending {
            if let step = self.steps.popFirst() {
                self.perform(step, &actions)
            } else if let message = self.inbox.popFirst() {
                self.handle(message, now: now, &actions)
            } else {
                return
            }
        }
    }

    mutating func perform(_ step: Step, _ actions: inout [Action]) {
        switch step {
        case .start(let key, let purpose): self.start(key, purpose, &actions)
        case .stop(let key): self.stop(key, &actions)
        case .startGroup(let first):
            let starts = self.group(from: first).map { Step.start($0, .restart) }
            self.steps.prepend(contentsOf: starts)
        case .pause(let key, let duration): self.pause(key, duration, &actions)
        case .reply(let id, let reply): actions.append(.reply(id, reply))
        case .stopAllAtOnce:
            let keys = self.orderedKeys
            for key in keys { self.stop(key, &actions) }
        case .allReady: actions.append(.allReady)
        case .finish(let end):
            self.life = .finished
            actions.append(.finished(end))
        }
    }

    mutating func start(_ key: Key, _ purpose: Purpose, _ actions: inout [Action]) {
        guard let child = self.children[key] else { return }
        switch child.phase {
        case .none, .restarting: break
        case .leaked:
            // Two instances never overlap: the restart goes on when the leaked one has ended.
            self.children[key]?.phase = .leaked(.restart(ran: .zero))
            self.steps = []
            return
        case .starting, .running, .ended, .stopping: return
        }
        self.starts += 1
        self.children[key]?.startNumber = self.starts
        self.children[key]?.instance += 1
        self.children[key]?.phase = .starting
        self.children[key]?.silence = nil
        self.waiting = .start(key, purpose)
        actions.append(.start(key, instance: child.instance + 1))
    }

    /// Asks a child to end and waits for it; one whose end is known already is settled here.
    mutating func stop(_ key: Key, _ actions: inout [Action]) {
        guard let child = self.children[key] else { return }
        switch child.phase {
        case .none, .ended, .restarting: self.settle(key, &actions)
        case .leaked: self.children[key]?.phase = .leaked(.nothing)
        case .starting, .running:
            self.children[key]?.phase = .stopping
            var left: Set<Key> = [key]
            if case .stops(let others) = self.waiting { left.formUnion(others) }
            self.waiting = .stops(left)
            // One that hung was already instructed to end, and its time runs.
            guard child.silence == nil else { return }
            actions.append(
                child.shutdown == .brutalKill
                    ? .kill(key, instance: child.instance) : .stop(key, instance: child.instance))
        case .stopping: break
        }
    }

    mutating func pause(_ key: Key, _ duration: Duration, _ actions: inout [Action]) {
        guard let child = self.children[key], child.phase == .none || child.phase == .restarting else {
            if case .leaked = self.children[key]?.phase { self.children[key]?.phase = .leaked(.restart(ran: .zero)) }
            return
        }
        self.children[key]?.phase = .restarting
        self.children[key]?.pauses += 1
        actions.append(.pause(key, pause: child.pauses + 1, duration))
    }

    // MARK: - Messages

    mutating func handle(_ message: Message, now: Duration, _ actions: inout [Action]) {
        switch message {
        case .ended(let key, let instance): self.childEnded(key, instance, now: now, &actions)
        case .tryAgain(let key, let isStartFailure, let ran):
            guard let child = self.children[key], child.phase == .restarting else { return }
            let exit = child.lastExit ?? .normal
            let label = isStartFailure ? "start-failure" : exit.label
            self.restart(child, exit, label: label, ran: ran, now: now, &actions)
        case .pauseEnded(let key, let pause):
            guard let child = self.children[key], child.phase == .restarting, child.pauses == pause else { return }
            self.steps = self.restartSteps(of: child, after: .zero)
        case .call(let id, let call): self.handle(call, id, &actions)
        }
    }

    /// OTP's `do_restart`.
    mutating func childEnded(_ key: Key, _ instance: Int, now: Duration, _ actions: inout [Action]) {
        // A step may have settled it since.
        guard let child = self.current(key, instance), case .ended(let exit, let ran) = child.phase else { return }
        self.children[key]?.phase = .none
        if child.restart == .permanent || (child.restart == .transient && exit.isAbnormal) {
            return self.restart(child, exit, label: exit.label, ran: ran, now: now, &actions)
        }
        self.settle(key, &actions)
        if self.endsSupervisor(child) { self.beginEnding(.autoShutdown(child: child.id), &actions) }
    }

    func endsSupervisor(_ ended: Child) -> Bool {
        guard ended.isSignificant else { return false }
        return switch self.autoShutdown {
        case .never: false
        case .anySignificant: true
        case .allSignificant: !self.children.values.contains { $0.isSignificant && $0.phase != .none }
        }
    }

    /// OTP's `restart`: counted first, each try again.
    mutating func restart(
        _ child: Child, _ exit: ChildExit, label: String, ran: Duration, now: Duration, _ actions: inout [Action]
    ) {
        guard self.window.add(now: now) else {
            actions.append(.gaveUp(child.key, reason: exit.description))
            self.settle(child.key, &actions)
            return self.beginEnding(.gaveUp(child: child.id, reason: exit.description), &actions)
        }
        let pause = self.nextPause(child, ran: ran)
        self.children[child.key]?.restarts += 1
        self.steps = self.restartSteps(of: child, after: pause)
        actions.append(.restarting(child.key, reason: exit.description, label: label, pause: pause))
    }

    mutating func nextPause(_ child: Child, ran: Duration) -> Duration {
        guard let backoff = child.backoff else { return .zero }
        let attempt = ran >= backoff.resetAfter ? 0 : child.backoffAttempt
        self.children[child.key]?.backoffAttempt = attempt + 1
        return backoff.pause(attempt: attempt)
    }

    func restartSteps(of child: Child, after pause: Duration) -> Deque<Step> {
        let first: Key?
        switch self.strategy {
        case .oneForOne, .simpleOneForOne:
            return pause > .zero ? [.pause(child.key, pause)] : [.start(child.key, .restart)]
        case .oneForAll: first = nil
        case .restForOne: first = child.key
        }
        // The failed child is among them: of no effect, unless it runs again by a call.
        let stops = self.group(from: first).reversed().filter { $0 != child.key }.map { Step.stop($0) }
        return Deque(stops + [pause > .zero ? .pause(child.key, pause) : .startGroup(from: first)])
    }

    /// The children from this one on, in the order of their starts.
    func group(from first: Key?) -> ArraySlice<Key> {
        guard let first else { return self.order[...] }
        guard let index = self.order.firstIndex(of: first) else { return [] }
        return self.order[index...]
    }

    // MARK: - The list of children

    mutating func insert(_ child: Child) {
        self.children[child.key] = child
        guard self.strategy != .simpleOneForOne else { return }
        self.order.append(child.key)
        self.keys[child.id] = child.key
    }

    mutating func forget(_ key: Key, _ actions: inout [Action]) {
        guard let child = self.children.removeValue(forKey: key) else { return }
        actions.append(.forget(key))
        guard self.strategy != .simpleOneForOne else { return }
        self.order.removeAll { $0 == key }
        self.keys[child.id] = nil
    }
}
