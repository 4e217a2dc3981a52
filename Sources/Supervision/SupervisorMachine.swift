/// The decisions of a one-for-one supervisor: events in, actions out; no clock, no task, no randomness.
///
/// Semantics are OTP's: children start in order, each ready before the next; they stop in reverse, each
/// gone before the next; a failed first start unwinds; more than `intensity` restarts within `period`
/// stop everything. Backoff is our addition and off unless a child asks for it.
struct SupervisorMachine {
    enum AutoShutdown: Hashable {
        case never
        case anySignificant
        case allSignificant
    }

    struct Child {
        enum Phase: Equatable {
            case idle
            case starting
            case running(since: Duration)
            case waiting
            case stopping
            case ended
            case leaked
        }

        let id: String
        let restart: RestartPolicy
        let isSignificant: Bool
        let backoff: RestartBackoff?
        var phase = Phase.idle
        /// Counts the starts; an event of an earlier instance is stale.
        var instance = 0
        var restarts = 0
        var backoffAttempt = 0
        var lastReason: String?

        var isAlive: Bool {
            switch self.phase {
            case .starting, .running, .stopping: true
            case .idle, .waiting, .ended, .leaked: false
            }
        }
    }

    enum Event {
        case begin
        case ready(id: String, instance: Int)
        case exited(id: String, instance: Int, ChildExit)
        case restartDue(id: String, instance: Int)
        case stopOverdue(id: String, instance: Int)
        case add(Child)
        case stopChild(id: String)
        case shutdown
    }

    enum Action: Equatable {
        case start(id: String, instance: Int)
        /// Cancels the child and watches that it ends within its shutdown time.
        case stop(id: String, instance: Int)
        /// Starts the child again after this pause, which the caller may stretch by jitter.
        case scheduleRestart(id: String, instance: Int, after: Duration)
        case restarted(id: String, reason: String)
        case leaked(id: String)
        case allReady
        case finished(SupervisionError?)
    }

    private enum Phase: Equatable {
        case idle
        case starting(next: Int)
        case running
        case stopping(SupervisionError?)
        case finished
    }

    let intensity: Int
    let period: Duration
    let autoShutdown: AutoShutdown
    private(set) var children: [Child] = []
    private var phase = Phase.idle
    private var restartTimes: [Duration] = []

    init(intensity: Int, period: Duration, autoShutdown: AutoShutdown, children: [Child]) {
        self.intensity = intensity
        self.period = period
        self.autoShutdown = autoShutdown
        self.children = children
    }

    var isFinished: Bool { self.phase == .finished }

    mutating func handle(_ event: Event, now: Duration) -> [Action] {
        switch event {
        case .begin:
            guard self.phase == .idle else { return [] }
            self.phase = .starting(next: 0)
            return self.startNext()
        case .ready(let id, let instance): return self.ready(id, instance, now: now)
        case .exited(let id, let instance, let exit): return self.exited(id, instance, exit, now: now)
        case .restartDue(let id, let instance): return self.restartDue(id, instance)
        case .stopOverdue(let id, let instance): return self.stopOverdue(id, instance)
        case .add(let child): return self.add(child)
        case .stopChild(let id): return self.stopChild(id)
        case .shutdown: return self.stopAll(nil)
        }
    }

    private func index(_ id: String, _ instance: Int) -> Int? {
        self.children.firstIndex { $0.id == id && $0.instance == instance }
    }

    private mutating func start(_ index: Int) -> Action {
        self.children[index].instance += 1
        self.children[index].phase = .starting
        return .start(id: self.children[index].id, instance: self.children[index].instance)
    }

    private mutating func startNext() -> [Action] {
        guard case .starting(let next) = self.phase else { return [] }
        guard next < self.children.count else {
            self.phase = .running
            return [.allReady]
        }
        self.phase = .starting(next: next + 1)
        return [self.start(next)]
    }

    private mutating func ready(_ id: String, _ instance: Int, now: Duration) -> [Action] {
        guard let index = self.index(id, instance), self.children[index].phase == .starting else { return [] }
        self.children[index].phase = .running(since: now)
        if case .starting(let next) = self.phase, next == index + 1 { return self.startNext() }
        return []
    }

    private mutating func exited(_ id: String, _ instance: Int, _ exit: ChildExit, now: Duration) -> [Action] {
        guard let index = self.index(id, instance), self.children[index].isAlive else { return [] }
        let before = self.children[index].phase
        if case .failed(let reason) = exit { self.children[index].lastReason = reason }
        if before == .stopping {
            self.children[index].phase = .ended
            if case .stopping = self.phase { return self.continueStopping() }
            return self.forgetIfTemporary(index)
        }
        if case .starting(let next) = self.phase, next == index + 1, before == .starting, exit.isFailure {
            self.children[index].phase = .ended
            return self.stopAll(
                SupervisionError(
                    code: .failedToStart,
                    message: "the child '\(id)' could not start: \(self.children[index].lastReason ?? "it ended")"))
        }
        let restarts =
            switch self.children[index].restart {
            case .permanent: true
            case .transient: exit.isFailure
            case .temporary: false
            }
        if restarts { return self.restart(index, before: before, exit: exit, now: now) }
        self.children[index].phase = .ended
        if self.shouldShutDown(after: index) { return self.stopAll(nil) }
        let actions = self.forgetIfTemporary(index)
        if case .starting(let next) = self.phase, next == index + 1 { return actions + self.startNext() }
        return actions
    }

    private mutating func restart(_ index: Int, before: Child.Phase, exit: ChildExit, now: Duration) -> [Action] {
        self.restartTimes.append(now)
        self.restartTimes.removeAll { $0 < now - self.period }
        let reason = if case .failed(let text) = exit { text } else { "it ended" }
        if self.restartTimes.count > self.intensity {
            self.children[index].phase = .ended
            return self.stopAll(
                SupervisionError(
                    code: .gaveUp,
                    message:
                        "gave up after \(self.intensity) restarts within \(self.period); the last: '\(self.children[index].id)': \(reason)"
                ))
        }
        self.children[index].restarts += 1
        let report = Action.restarted(id: self.children[index].id, reason: reason)
        guard let backoff = self.children[index].backoff else { return [report, self.start(index)] }
        if case .running(let since) = before, now - since >= backoff.resetAfter {
            self.children[index].backoffAttempt = 0
        }
        let pause = backoff.pause(attempt: self.children[index].backoffAttempt)
        self.children[index].backoffAttempt += 1
        self.children[index].phase = .waiting
        return [
            report,
            .scheduleRestart(id: self.children[index].id, instance: self.children[index].instance, after: pause),
        ]
    }

    private mutating func restartDue(_ id: String, _ instance: Int) -> [Action] {
        guard let index = self.index(id, instance), self.children[index].phase == .waiting else { return [] }
        return [self.start(index)]
    }

    private func shouldShutDown(after index: Int) -> Bool {
        guard self.children[index].isSignificant else { return false }
        switch self.autoShutdown {
        case .never: return false
        case .anySignificant: return true
        case .allSignificant: return self.children.allSatisfy { !$0.isSignificant || $0.phase == .ended }
        }
    }

    private mutating func forgetIfTemporary(_ index: Int) -> [Action] {
        if self.children[index].restart == .temporary { self.children.remove(at: index) }
        return []
    }

    private mutating func add(_ child: Child) -> [Action] {
        guard self.phase == .running, !self.children.contains(where: { $0.id == child.id }) else { return [] }
        self.children.append(child)
        return [self.start(self.children.count - 1)]
    }

    private mutating func stopChild(_ id: String) -> [Action] {
        guard let index = self.children.firstIndex(where: { $0.id == id }) else { return [] }
        switch self.children[index].phase {
        case .starting, .running:
            self.children[index].phase = .stopping
            return [.stop(id: id, instance: self.children[index].instance)]
        case .waiting, .idle:
            self.children[index].phase = .ended
            return self.forgetIfTemporary(index)
        case .stopping, .ended, .leaked: return []
        }
    }

    private mutating func stopAll(_ error: SupervisionError?) -> [Action] {
        switch self.phase {
        case .stopping, .finished: return []
        case .idle, .starting, .running: break
        }
        self.phase = .stopping(error)
        for index in self.children.indices
        where self.children[index].phase == .waiting || self.children[index].phase == .idle {
            self.children[index].phase = .ended
        }
        return self.continueStopping()
    }

    /// The last child that is still alive is stopped next; when one is stopping already, it is awaited.
    private mutating func continueStopping() -> [Action] {
        guard case .stopping(let error) = self.phase else { return [] }
        if self.children.contains(where: { $0.phase == .stopping }) { return [] }
        guard let index = self.children.lastIndex(where: { $0.isAlive }) else {
            self.phase = .finished
            return [.finished(error)]
        }
        self.children[index].phase = .stopping
        return [.stop(id: self.children[index].id, instance: self.children[index].instance)]
    }

    private mutating func stopOverdue(_ id: String, _ instance: Int) -> [Action] {
        guard let index = self.index(id, instance), self.children[index].phase == .stopping else { return [] }
        self.children[index].phase = .leaked
        return [.leaked(id: id)] + self.continueStopping()
    }
}
