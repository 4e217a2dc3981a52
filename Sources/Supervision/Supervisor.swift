internal import CoreMetrics
internal import Domain
internal import Logging

/// Keeps children running: starts them in order, restarts what fails, stops them in reverse (OTP 25's
/// `supervisor`, with backoff, heartbeats and leak reports added).
///
/// The decisions are `SupervisorMachine`'s; this actor is its mailbox and carries them out. Each child is a task
/// of its own: a task group cannot cancel one of its children, and would wait indefinitely for one that ignores it.
/// The structure is kept all the same: `run` returns only when it has seen every child's end, but for those that
/// it reported as leaked.
package actor Supervisor {
    package nonisolated let configuration: Configuration
    private let environment: SupervisionEnvironment
    private let template: ChildSpecification?
    private var machine: SupervisorMachine
    private var specifications: [SupervisorMachine.Key: ChildSpecification] = [:]
    private var links: [SupervisorMachine.Key: ChildLink] = [:]
    private var tasks: [SupervisorMachine.Key: Task<Void, Never>] = [:]
    private var calls: [SupervisorMachine.CallID: PendingCall] = [:]
    private var lastKey: SupervisorMachine.Key
    private var lastCall = 0
    private var alarms = AlarmClock()
    private var sleeper: Task<Void, Never>?
    private var sleeps = 0
    private var end: SupervisorMachine.End?
    private let events: AsyncStream<SupervisorMachine.Event>
    private nonisolated let post: AsyncStream<SupervisorMachine.Event>.Continuation

    private struct PendingCall {
        let continuation: CheckedContinuation<SupervisorMachine.Reply, Never>
        /// The specification that the call brought, dropped again when it is refused.
        let key: SupervisorMachine.Key?
    }

    /// Checks every specification before anything starts; throws `SupervisionError.invalidSpecification`, whose
    /// message names the child and the rule. For `simpleOneForOne` there is one child, the template.
    package init(
        _ configuration: Configuration, children: [ChildSpecification], environment: SupervisionEnvironment
    ) throws(SupervisionError) {
        try configuration.check(children)
        self.configuration = configuration
        self.environment = environment
        let isSimple = configuration.strategy == .simpleOneForOne
        self.template = isSimple ? children.first : nil
        self.lastKey = isSimple ? 0 : children.count
        if !isSimple {
            self.specifications = Dictionary(uniqueKeysWithValues: zip(1..., children))
        }
        self.machine = SupervisorMachine(
            strategy: configuration.strategy, intensity: configuration.intensity, period: configuration.period,
            autoShutdown: configuration.autoShutdown,
            children: isSimple ? [] : zip(1..., children).map { SupervisorMachine.Child(key: $0, $1) })
        // Bounded by the number of children, each of which has a few events under way at most, and of callers.
        (self.events, self.post) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    }

    // MARK: - Running

    /// Runs until the task is cancelled, auto-shutdown applies, or the restart budget is spent; all children have
    /// ended by then, in reverse order, but for leaked ones. Throws `SupervisionError` `.gaveUp`, `.failedToStart`
    /// or `.killed`. `ready` is called once all first children are up. Call it once.
    package func run(ready: @escaping @Sendable () -> Void = {}) async throws {
        // A task that is cancelled already starts nothing.
        self.post.yield(Task.isCancelled ? .shutdown : .begin)
        await withTaskCancellationHandler {
            // Cancellation must reach the machine as an event; it would end the stream's iteration at once and leave the
            // children behind.
            await withoutCancellation { await self.handleEvents(ready: ready) }
        } onCancel: {
            self.post.yield(.shutdown)
        }
        if let error = self.end.flatMap({ self.error(of: $0) }) { throw error }
    }

    /// Runs as a child of another supervisor: that one sees this tree, and this one's end as OTP would show it.
    /// What leaked here is reported above, where it counts as leaked too, and is awaited before this returns, so
    /// that no successor starts next to it.
    package func run(as child: ChildContext) async throws {
        child.attach(self)
        defer { child.attach(nil) }
        let result: Result<Void, any Error>
        do {
            result = .success(try await self.run(ready: { child.ready() }))
        } catch {
            result = .failure(error)
        }
        if self.machine.leakedCount > 0 {
            child.link.leftBehind()
            for task in self.tasks.values { await task.value }
        }
        try result.get()
        throw ChildShutdown()
    }

    /// Asks it to stop as cancelling its task does; returns at once.
    package nonisolated func stop() { self.post.yield(.shutdown) }

    /// Ends it without asking its children first: each is killed at once; returns at once.
    package nonisolated func kill() { self.post.yield(.kill) }

    private func handleEvents(ready: @Sendable () -> Void) async {
        for await event in self.events {
            self.handle(event, ready: ready)
            if self.machine.isFinished { break }
        }
        self.sleeper?.cancel()
        self.alarms.clear()
        // Calls whose turn did not come any more.
        for id in self.calls.keys.sorted() { self.answer(id, .refused(.notRunning)) }
    }

    private func handle(_ event: SupervisorMachine.Event, ready: @Sendable () -> Void) {
        self.note(event)
        for action in self.machine.handle(event, now: self.environment.now()) { self.perform(action, ready: ready) }
    }

    // MARK: - Calls (OTP's start_child, terminate_child, restart_child, delete_child, which_children, count_children)

    /// Adds a child after the others and starts it; nil when it said that it is not to run. Throws
    /// `SupervisionError` `.invalidSpecification`, `.alreadyStarted`, `.alreadyPresent`, `.startFailed` (it is
    /// not kept then), `.simpleOneForOne` or `.notRunning`.
    @discardableResult
    package func startChild(_ specification: ChildSpecification) async throws -> ChildReference? {
        guard self.template == nil else { throw self.error(.simpleOneForOne) }
        try self.configuration.check(specification)
        return try await self.start(specification)
    }

    /// Starts a child like the template of a simple-one-for-one supervisor, but with this to run and to kill it;
    /// `name` is for people and need not be unique. Throws as `startChild`.
    @discardableResult
    package func startInstance(
        named name: String, kill: (@Sendable () -> Void)? = nil, run: @escaping ChildSpecification.Run
    ) async throws -> ChildReference? {
        guard var specification = self.template else { throw self.error(.notFound) }
        specification.id = name
        specification.kill = kill
        specification.run = run
        return try await self.start(specification)
    }

    /// Stops a child and returns when it is gone; a temporary one is forgotten with that. Throws
    /// `SupervisionError` `.notFound`, `.simpleOneForOne` or `.notRunning`.
    package func terminateChild(_ id: String) async throws { _ = try await self.call(.terminate(id: id)) }

    /// Stops one child of a simple-one-for-one supervisor; one that has ended already is no error.
    package func terminateChild(_ reference: ChildReference) async throws {
        _ = try await self.call(.terminateReference(reference))
    }

    /// Starts a known child that does not run; nil when it said that it is not to run. Throws `SupervisionError`
    /// `.running`, `.restarting`, `.leaked`, `.startFailed` (it stays known) or as `terminateChild`.
    @discardableResult
    package func restartChild(_ id: String) async throws -> ChildReference? {
        guard case .started(let reference) = try await self.call(.restart(id: id)) else { return nil }
        return reference
    }

    /// Forgets a known child that does not run. Throws `SupervisionError` as `restartChild`.
    package func deleteChild(_ id: String) async throws { _ = try await self.call(.delete(id: id)) }

    /// The children in the order of their starts, once everything that came before the question has been dealt
    /// with, restarts that wait for their turn included only as such. Throws `SupervisionError.notRunning`.
    package func whichChildren() async throws -> [ChildStatus] {
        _ = try await self.call(.look)
        return self.children
    }

    /// The children in the order of their starts, as they are now; also while a step is under way.
    package var children: [ChildStatus] {
        let now = self.environment.now()
        return self.machine.orderedKeys.compactMap { key in
            self.machine.children[key].map { $0.status(dependency: self.links[key]?.dependency, now: now) }
        }
    }

    package var counts: ChildCounts {
        let children = self.machine.children.values
        let supervisors = self.template.map { $0.type == .supervisor ? children.count : 0 }
        return ChildCounts(
            specifications: self.template == nil ? children.count : 1,
            active: children.count { if case .running = $0.phase { true } else { false } },
            supervisors: supervisors ?? children.count { $0.type == .supervisor },
            workers: supervisors.map { children.count - $0 } ?? children.count { $0.type == .worker })
    }

    /// The whole tree below.
    package func tree() async -> SupervisionTree {
        let now = self.environment.now()
        // Taken at once, so that this level is of one moment; the levels below follow.
        let level = self.machine.orderedKeys.compactMap { key in
            self.machine.children[key].map { child in
                (child.status(dependency: self.links[key]?.dependency, now: now), self.links[key]?.supervisor)
            }
        }
        let recent = self.machine.window.count(now: now)
        var branches: [SupervisionTree.Branch] = []
        for (status, supervisor) in level {
            branches.append(SupervisionTree.Branch(status: status, tree: await supervisor?.tree()))
        }
        return SupervisionTree(
            name: self.configuration.name, strategy: self.configuration.strategy,
            intensity: self.configuration.intensity, period: self.configuration.period, recentRestarts: recent,
            branches: branches)
    }

    /// True when no step is under way and no message waits.
    package var isAtRest: Bool { self.machine.isAtRest }

    private func start(_ specification: ChildSpecification) async throws -> ChildReference? {
        self.lastKey += 1
        let key = self.lastKey
        self.specifications[key] = specification
        let child = SupervisorMachine.Child(key: key, specification)
        guard case .started(let reference) = try await self.call(.start(child), key: key) else { return nil }
        return reference
    }

    private func call(
        _ call: SupervisorMachine.Call, key: SupervisorMachine.Key? = nil
    ) async throws -> SupervisorMachine.Reply {
        guard !self.machine.isFinished else {
            if let key { self.specifications[key] = nil }
            throw self.error(.notRunning)
        }
        self.lastCall += 1
        let id = self.lastCall
        let reply = await withCheckedContinuation { continuation in
            self.calls[id] = PendingCall(continuation: continuation, key: key)
            self.post.yield(.call(id, call))
        }
        switch reply {
        case .refused(let code): throw self.error(code)
        case .startFailed(let reason):
            throw SupervisionError(code: .startFailed, message: "the child could not start: \(reason)")
        case .done, .started: return reply
        }
    }

    // MARK: - Carrying out

    private func perform(_ action: SupervisorMachine.Action, ready: @Sendable () -> Void) {
        switch action {
        case .start(let key, let instance): self.startTask(key, instance)
        case .stop(let key, let instance): self.stopTask(key, instance)
        case .kill(let key, let instance): self.killTask(key, instance)
        case .pause(let key, let pause, let duration):
            self.alarm(.pauseEnded(key, pause: pause), in: duration * self.environment.jitter())
        case .reply(let id, let reply): self.answer(id, reply)
        case .restarting(let key, let reason, let label, let pause): self.reportRestart(key, reason, label, pause)
        case .gaveUp(let key, let reason): self.reportGivingUp(key, reason)
        case .startFailed(let key, let reason): self.observe(key, .startFailed(reason))
        case .startIgnored(let key): self.observe(key, .startIgnored)
        case .leaked(let key): self.reportLeak(key)
        case .returned(let key): self.reportReturn(key)
        case .forget(let key): self.forget(key)
        case .allReady: ready()
        case .finished(let end): self.finish(end)
        }
    }

    private func startTask(_ key: SupervisorMachine.Key, _ instance: Int) {
        guard let run = self.specifications[key]?.run else { return }
        let post = self.post
        let link = ChildLink(key: key, instance: instance, now: self.environment.now, post: post)
        self.links[key] = link
        // Not structured, see the type's comment; every end comes back as an event.
        self.tasks[key] = Task {
            let result: Result<Void, any Error>
            do {
                result = .success(try await run(ChildContext(link: link)))
            } catch {
                result = .failure(error)
            }
            post.yield(link.end(result))
        }
    }

    private func stopTask(_ key: SupervisorMachine.Key, _ instance: Int) {
        guard let link = self.links[key], link.instance == instance else { return }
        link.markAsked()
        self.tasks[key]?.cancel()
        guard case .timeout(let limit) = self.specifications[key]?.shutdown else { return }
        self.alarm(.stopOverdue(key, instance: instance), in: limit)
    }

    private func killTask(_ key: SupervisorMachine.Key, _ instance: Int) {
        guard let link = self.links[key], link.instance == instance, link.markKilled() else { return }
        link.markAsked()
        // Before the cancellation, which would leave its children their shutdown times. Its own supervisors see to the
        // grace.
        let supervisor = link.supervisor
        supervisor?.kill()
        self.tasks[key]?.cancel()
        self.specifications[key]?.kill?()
        guard supervisor == nil else { return }
        self.alarm(.killOverdue(key, instance: instance), in: self.environment.killGrace)
    }

    private func forget(_ key: SupervisorMachine.Key) {
        self.specifications[key] = nil
        self.links[key] = nil
        self.tasks[key] = nil
    }

    private func answer(_ id: SupervisorMachine.CallID, _ reply: SupervisorMachine.Reply) {
        guard let call = self.calls.removeValue(forKey: id) else { return }
        // One that was refused because the supervisor ends may be running, and is being stopped.
        if case .refused = reply, let key = call.key, self.machine.children[key] == nil {
            self.specifications[key] = nil
        }
        call.continuation.resume(returning: reply)
    }

    // MARK: - Time

    private func alarm(_ event: SupervisorMachine.Event, in duration: Duration) {
        guard self.alarms.set(event, at: self.environment.now() + duration) else { return }
        self.sleep(duration)
    }

    /// Sleeps again, until the earliest alarm. The sleeper before is cancelled; should it have woken up already,
    /// its number is stale.
    private func sleep(_ duration: Duration) {
        self.sleeper?.cancel()
        self.sleeps += 1
        let (number, clock) = (self.sleeps, self.environment.clock)
        // Not structured: it sleeps while events are handled, and is cancelled by the next sleep or the end of `run`.
        self.sleeper = Task { [weak self] in
            do { try await clock.sleep(for: duration) } catch { return }
            await self?.ring(number)
        }
    }

    /// A sleep that takes this much longer means that the process was stopped or the machine asleep.
    private static let lateness = Duration.seconds(2)

    private func ring(_ number: Int) {
        guard number == self.sleeps, !self.machine.isFinished else { return }
        let now = self.environment.now()
        for alarm in self.alarms.due(at: now) {
            switch alarm.event {
            // Who woke up this late was not running, and neither were those whose heartbeats are missed.
            case .silent(let key, let instance, let limit) where now - alarm.at > Self.lateness:
                self.alarm(.silent(key, instance: instance, limit), in: limit)
            case .silent(let key, let instance, _): self.checkHeartbeat(key, instance, now: now)
            default: self.post.yield(alarm.event)
            }
        }
        if let next = self.alarms.next { self.sleep(max(next - now, .zero)) }
    }

    /// Looks when a heartbeat was due at the latest, instead of at each one.
    private func checkHeartbeat(_ key: SupervisorMachine.Key, _ instance: Int, now: Duration) {
        guard let link = self.links[key], link.instance == instance, self.machine.children[key]?.isAlive == true,
            let limit = self.specifications[key]?.heartbeatLimit
        else { return }
        let silence = now - link.beatAt
        if silence >= limit {
            self.post.yield(.silent(key, instance: instance, silence))
        } else {
            self.alarm(.silent(key, instance: instance, limit), in: limit - silence)
        }
    }

    // MARK: - Reports

    /// Reports what happened to a child before the machine decides what follows.
    private func note(_ event: SupervisorMachine.Event) {
        switch event {
        case .ready(let key, let instance):
            guard let link = self.links[key], link.instance == instance else { return }
            self.observe(key, .started)
            guard let limit = self.specifications[key]?.heartbeatLimit else { return }
            self.alarm(.silent(key, instance: instance, limit), in: limit)
        case .ended(let key, let instance, let exit):
            guard self.links[key]?.instance == instance else { return }
            self.observe(key, .ended(self.machine.children[key]?.silence.map { .hung($0) } ?? exit))
        case .silent(let key, _, let silence):
            guard case .running = self.machine.children[key]?.phase else { return }
            self.observe(key, .hung(silence))
            self.environment.logger.error(
                "a supervised child gave no heartbeat and is being ended",
                metadata: self.metadata(key, ["silence": "\(silence)"]))
        default: break
        }
    }

    private func observe(_ key: SupervisorMachine.Key?, _ kind: SupervisionEvent.Kind) {
        guard let observe = self.environment.observe else { return }
        observe(
            SupervisionEvent(
                supervisor: self.configuration.name, child: key.flatMap { self.reference(of: $0) }, kind: kind))
    }

    /// Also of a child that the machine has forgotten while its last actions are carried out.
    private func reference(of key: SupervisorMachine.Key) -> ChildReference? {
        self.specifications[key].map {
            ChildReference(id: $0.id, instance: self.links[key]?.instance ?? 0, key: key)
        }
    }

    private func reportRestart(_ key: SupervisorMachine.Key, _ reason: String, _ label: String, _ pause: Duration) {
        self.environment.stormGuard?.restarted()
        self.observe(key, .restarting(reason: reason, pause: pause))
        self.environment.logger.warning(
            "a supervised child ended and is restarted",
            metadata: self.metadata(key, ["reason": "\(reason)", "pause": "\(pause)"]))
        Counter(
            label: "orchestra_supervisor_restarts_total",
            dimensions: [("supervisor", self.configuration.kind), ("reason", label)], factory: self.environment.metrics
        ).increment()
    }

    private func reportLeak(_ key: SupervisorMachine.Key) {
        self.observe(key, .leaked)
        self.environment.logger.error(
            "a supervised child ignored its cancellation and is left behind", metadata: self.metadata(key, [:]))
        self.count("orchestra_supervisor_leaks_total")
    }

    private func reportReturn(_ key: SupervisorMachine.Key) {
        self.observe(key, .returned)
        self.environment.logger.notice("a child that was left behind has ended", metadata: self.metadata(key, [:]))
    }

    private func reportGivingUp(_ key: SupervisorMachine.Key, _ reason: String) {
        self.observe(key, .gaveUp(reason: reason))
        self.environment.logger.error(
            "a supervisor gives up: more restarts than it may have",
            metadata: self.metadata(key, ["reason": "\(reason)"]))
        self.count("orchestra_supervisor_give_ups_total")
    }

    private func finish(_ end: SupervisorMachine.End) {
        self.end = end
        self.observe(nil, .finished)
    }

    private func count(_ label: String) {
        Counter(
            label: label, dimensions: [("supervisor", self.configuration.kind)], factory: self.environment.metrics
        ).increment()
    }

    private func metadata(_ key: SupervisorMachine.Key, _ more: Logger.Metadata) -> Logger.Metadata {
        let id = self.specifications[key]?.id ?? ""
        return more.merging(["supervisor.name": "\(self.configuration.name)", "child.id": "\(id)"]) { first, _ in first
        }
    }

    private func error(_ code: SupervisionErrorCode) -> SupervisionError {
        let text =
            switch code {
            case .alreadyStarted: "already runs a child of this id"
            case .alreadyPresent: "already knows a child of this id, which does not run: restart or delete it"
            case .notFound: "knows no such child"
            case .running: "cannot do that while the child runs: terminate it first"
            case .restarting: "is about to restart that child"
            case .simpleOneForOne: "is simple-one-for-one: its children go by reference, not by id"
            case .leaked: "still has the child's last instance, which ignored its cancellation"
            default: "does not run"
            }
        return SupervisionError(code: code, message: "the supervisor '\(self.configuration.name)' \(text)")
    }

    private func error(of end: SupervisorMachine.End) -> SupervisionError? {
        let name = self.configuration.name
        switch end {
        case .shutdown, .autoShutdown: return nil
        case .gaveUp(let child, let reason):
            return SupervisionError(
                code: .gaveUp,
                message:
                    "the supervisor '\(name)' gave up after \(self.configuration.intensity) restarts within \(self.configuration.period); the last: '\(child)': \(reason)"
            )
        case .failedToStart(let child, let reason):
            return SupervisionError(
                code: .failedToStart,
                message: "the supervisor '\(name)': the child '\(child)' could not start: \(reason)")
        case .killed:
            return SupervisionError(code: .killed, message: "the supervisor '\(name)' was killed")
        }
    }
}
