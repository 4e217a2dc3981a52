internal import Domain
internal import Synchronization

/// One instance of a child, seen from both sides.
final class ChildLink: Sendable {
    private struct State {
        var isReady = false
        var isKilled = false
        var isAsked = false
        var beatAt: Duration
        var dependency: String?
        var supervisor: Supervisor?
    }

    let key: SupervisorMachine.Key
    let instance: Int
    private let now: @Sendable () -> Duration
    private let post: AsyncStream<SupervisorMachine.Event>.Continuation
    private let state: Mutex<State>

    init(
        key: SupervisorMachine.Key, instance: Int, now: @escaping @Sendable () -> Duration,
        post: AsyncStream<SupervisorMachine.Event>.Continuation
    ) {
        self.key = key
        self.instance = instance
        self.now = now
        self.post = post
        self.state = Mutex(State(beatAt: now()))
    }

    var isReady: Bool { self.state.withLock { $0.isReady } }
    var isKilled: Bool { self.state.withLock { $0.isKilled } }
    var dependency: String? { self.state.withLock { $0.dependency } }
    var supervisor: Supervisor? { self.state.withLock { $0.supervisor } }
    /// When it last gave a sign of life.
    var beatAt: Duration { self.state.withLock { $0.beatAt } }
    /// Its supervisor instructed it to end.
    var isAsked: Bool { self.state.withLock { $0.isAsked } }

    func becomeReady() {
        let now = self.now()
        self.state.withLock { state in
            guard !state.isReady else { return }
            state.isReady = true
            state.beatAt = now
            // Said under the lock: an end that another task posts must not come before it.
            self.post.yield(.ready(self.key, instance: self.instance))
        }
    }

    func beat() {
        let now = self.now()
        self.state.withLock { $0.beatAt = now }
    }

    func setDependency(_ reason: String?) { self.state.withLock { $0.dependency = reason } }

    func attach(_ supervisor: Supervisor?) {
        let isKilled = self.state.withLock { state in
            state.supervisor = supervisor
            return state.isKilled
        }
        if isKilled { supervisor?.kill() }
    }

    func markAsked() { self.state.withLock { $0.isAsked = true } }

    /// False when it was killed before.
    func markKilled() -> Bool {
        self.state.withLock { state in
            defer { state.isKilled = true }
            return !state.isKilled
        }
    }

    /// It has ended but for what leaked in it.
    func leftBehind() { self.post.yield(.leftBehind(self.key, instance: self.instance)) }

    /// What its end means, said once `run` has returned.
    func end(_ result: Result<Void, any Error>) -> SupervisorMachine.Event {
        let state = self.state.withLock { ($0.isReady, $0.isKilled, $0.isAsked) }
        let (isReady, isKilled, isAsked) = state
        if isReady {
            return .ended(self.key, instance: self.instance, Self.exit(result, isAsked: isAsked, isKilled: isKilled))
        }
        let failure: StartFailure =
            switch result {
            case .failure(is ChildIgnored): .ignored
            case .failure(let error): .failed("\(error)")
            case .success: .failed("it ended before it was ready")
            }
        return .startEnded(self.key, instance: self.instance, failure)
    }

    private static func exit(_ result: Result<Void, any Error>, isAsked: Bool, isKilled: Bool) -> ChildExit {
        if isKilled { return .killed }
        switch result {
        case .success, .failure(is ChildIgnored): return .normal
        case .failure(let shutdown as ChildShutdown): return .shutdown(shutdown.detail)
        case .failure(let error as SupervisionError) where error.code == .gaveUp: return .gaveUp(error.message)
        case .failure(let error as SupervisionError) where error.code == .killed: return .killed
        case .failure(is CancellationError) where isAsked: return .shutdown(nil)
        case .failure(let error): return .failed("\(error)")
        }
    }
}
