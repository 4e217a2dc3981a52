package import CoreMetrics
package import Logging

/// Keeps children running: starts them in order, restarts what fails, stops them in reverse.
///
/// The decisions are `SupervisorMachine`'s; this actor carries them out. Each child is a task of its own,
/// owned by `run()`, so that it can be cancelled alone. A child that ignores its cancellation cannot be
/// ended in Swift; it is reported as leaked and counted, and the supervisor goes on without it.
package actor Supervisor {
    package enum AutoShutdown: Sendable {
        case never
        /// The own final end of one significant child ends the supervisor.
        case anySignificant
        /// The own final ends of all significant children do.
        case allSignificant
    }

    package struct Configuration: Sendable {
        package var name: String
        /// More restarts than this within `period` end the supervisor (OTP's default: 1 in 5 s).
        package var intensity: Int
        package var period: Duration
        package var autoShutdown: AutoShutdown

        package init(
            name: String, intensity: Int = 1, period: Duration = .seconds(5), autoShutdown: AutoShutdown = .never
        ) {
            self.name = name
            self.intensity = intensity
            self.period = period
            self.autoShutdown = autoShutdown
        }
    }

    private struct Task {
        let instance: Int
        let handle: _Concurrency.Task<Void, Never>
    }

    package nonisolated let configuration: Configuration
    private var machine: SupervisorMachine
    private var specifications: [String: ChildSpecification]
    private var tasks: [String: Task] = [:]
    private let events: AsyncStream<SupervisorMachine.Event>
    private nonisolated let post: AsyncStream<SupervisorMachine.Event>.Continuation
    private let clock: any Clock<Duration>
    private let now: @Sendable () -> Duration
    private let jitter: @Sendable () -> Double
    private let logger: Logger
    private let metrics: any MetricsFactory
    private var failure: SupervisionError?
    private(set) package var leaked = 0

    /// Throws `SupervisionError.invalidSpecification` when two children share an id; starts nothing.
    /// `clock` paces waiting and `now` tells its time; `jitter` returns a factor from 0.5 to 1.
    package init(
        _ configuration: Configuration, children: [ChildSpecification], logger: Logger,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance, clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Duration = Supervisor.monotonicNow,
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0.5...1) }
    ) throws {
        self.configuration = configuration
        self.specifications = [:]
        for child in children {
            guard self.specifications.updateValue(child, forKey: child.id) == nil else {
                throw SupervisionError(
                    code: .invalidSpecification,
                    message: "the supervisor '\(configuration.name)' has two children named '\(child.id)'")
            }
        }
        self.machine = SupervisorMachine(
            intensity: configuration.intensity, period: configuration.period,
            autoShutdown: configuration.autoShutdown.decision, children: children.map(Self.decisionChild))
        (self.events, self.post) = AsyncStream.makeStream()
        self.logger = logger
        self.metrics = metrics
        self.clock = clock
        self.now = now
        self.jitter = jitter
    }

    /// Time since the first use of the process' monotonic clock.
    package static let monotonicNow: @Sendable () -> Duration = {
        let start = ContinuousClock.now
        return { ContinuousClock.now - start }
    }()

    /// Runs until the task is cancelled, auto-shutdown applies, or the restart budget is spent; all
    /// children have ended by then, in reverse order. Throws `SupervisionError` in the last case and when
    /// a child fails at its first start. `ready` is called once all first children are up. Call it once.
    package func run(ready: @escaping @Sendable () -> Void = {}) async throws {
        self.post.yield(.begin)
        // A shield, awaited right below: cancellation must reach the machine as an event, whereas it would
        // end the stream's iteration at once and leave the children behind.
        let loop = _Concurrency.Task { await self.handleEvents(ready: ready) }
        await withTaskCancellationHandler {
            await loop.value
        } onCancel: {
            self.post.yield(.shutdown)
        }
        if let failure = self.failure { throw failure }
    }

    private func handleEvents(ready: @Sendable () -> Void) async {
        for await event in self.events {
            for action in self.machine.handle(event, now: self.now()) { self.perform(action, ready: ready) }
            if self.machine.isFinished { return }
        }
    }

    /// Adds a child to a running supervisor; one whose id is taken is not started.
    package func start(_ specification: ChildSpecification) {
        guard !self.machine.children.contains(where: { $0.id == specification.id }) else { return }
        self.specifications[specification.id] = specification
        self.post.yield(.add(Self.decisionChild(specification)))
    }

    /// Stops a child for good; it has not necessarily ended when this returns.
    package nonisolated func stop(id: String) { self.post.yield(.stopChild(id: id)) }

    package var children: [ChildStatus] {
        self.machine.children.map { child in
            ChildStatus(id: child.id, state: child.phase.status, restarts: child.restarts, lastReason: child.lastReason)
        }
    }

    private func perform(_ action: SupervisorMachine.Action, ready: @Sendable () -> Void) {
        switch action {
        case .start(let id, let instance): self.startChild(id, instance)
        case .stop(let id, let instance): self.stopChild(id, instance)
        case .scheduleRestart(let id, let instance, let pause):
            self.wait(pause * self.jitter(), then: .restartDue(id: id, instance: instance))
        case .restarted(let id, let reason): self.reportRestart(id, reason)
        case .leaked(let id): self.reportLeak(id)
        case .allReady: ready()
        case .finished(let error): self.finish(error)
        }
    }

    private func startChild(_ id: String, _ instance: Int) {
        guard let specification = self.specifications[id] else { return }
        let post = self.post
        // Not structured, because a group cannot cancel one of its children; `run()` does not return
        // before the event of its end, posted below, has been seen.
        let handle = _Concurrency.Task {
            do {
                try await specification.run { post.yield(.ready(id: id, instance: instance)) }
                post.yield(.exited(id: id, instance: instance, _Concurrency.Task.isCancelled ? .shutdown : .normal))
            } catch {
                let isAsked = _Concurrency.Task.isCancelled && error is CancellationError
                post.yield(.exited(id: id, instance: instance, isAsked ? .shutdown : .failed("\(error)")))
            }
        }
        self.tasks[id] = Task(instance: instance, handle: handle)
    }

    private func stopChild(_ id: String, _ instance: Int) {
        guard let task = self.tasks[id], task.instance == instance else { return }
        task.handle.cancel()
        guard case .timeout(let limit) = self.specifications[id]?.shutdown else { return }
        self.wait(limit, then: .stopOverdue(id: id, instance: instance))
    }

    /// A timer that outlives its use does no harm: its event is stale by its instance.
    private func wait(_ duration: Duration, then event: SupervisorMachine.Event) {
        let post = self.post
        let clock = self.clock
        _Concurrency.Task {
            do { try await clock.sleep(for: duration) } catch { return }
            post.yield(event)
        }
    }

    private func reportRestart(_ id: String, _ reason: String) {
        self.logger.warning(
            "a supervised child failed and is restarted",
            metadata: [
                "supervisor.name": "\(self.configuration.name)", "child.id": "\(id)", "reason": "\(reason)",
            ])
        Counter(
            label: "orchestra_supervisor_restarts_total",
            dimensions: [("supervisor", self.configuration.name.prefixUpToSpace)], factory: self.metrics
        ).increment()
    }

    private func reportLeak(_ id: String) {
        self.leaked += 1
        self.logger.error(
            "a supervised child ignored its cancellation and is left behind",
            metadata: ["supervisor.name": "\(self.configuration.name)", "child.id": "\(id)"])
        Counter(label: "orchestra_supervisor_leaks_total", factory: self.metrics).increment()
    }

    private func finish(_ error: SupervisionError?) {
        self.post.finish()
        guard let error else { return }
        self.failure = SupervisionError(
            code: error.code, message: "the supervisor '\(self.configuration.name)' \(error.message)")
        if error.code == .gaveUp {
            Counter(label: "orchestra_supervisor_give_ups_total", factory: self.metrics).increment()
        }
    }

    private static func decisionChild(_ specification: ChildSpecification) -> SupervisorMachine.Child {
        SupervisorMachine.Child(
            id: specification.id, restart: specification.restart, isSignificant: specification.isSignificant,
            backoff: specification.backoff)
    }
}

extension Supervisor.AutoShutdown {
    fileprivate var decision: SupervisorMachine.AutoShutdown {
        switch self {
        case .never: .never
        case .anySignificant: .anySignificant
        case .allSignificant: .allSignificant
        }
    }
}

extension SupervisorMachine.Child.Phase {
    fileprivate var status: ChildStatus.State {
        switch self {
        case .idle, .starting: .starting
        case .running: .running
        case .waiting: .waitingToRestart
        case .stopping: .stopping
        case .ended: .ended
        case .leaked: .leaked
        }
    }
}

extension String {
    /// The supervisor's kind: names are `kind` or `kind instance`, and only kinds may become labels.
    fileprivate var prefixUpToSpace: String { String(self.prefix { $0 != " " }) }
}
