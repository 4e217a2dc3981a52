package import Domain
import Logging
import Supervision
import Synchronization

/// Plays a vector on real supervisors with simulated children, and records what they did.
package actor SupervisorScenario {
    private let vector: SupervisorVector
    private let record = Record()
    private let now: @Sendable () -> Duration
    private let sleep: @Sendable (Duration) async throws -> Void
    private let extendsShutdownTimes: Bool
    private var root: Supervisor?
    private var running: Task<Result<Void, any Error>, Never>?

    /// With `countsSleepsOnly` the supervisors' time passes in the vector's sleeps alone, and these take none: so
    /// a restart window holds what the vector says on the busiest machine. Shutdown times never run out then.
    /// When `extendsShutdownTimes`, a shutdown time that a child would keep does not run out on a busy machine either.
    package init(_ vector: SupervisorVector, countsSleepsOnly: Bool = false, extendsShutdownTimes: Bool = false) {
        self.vector = vector
        self.extendsShutdownTimes = extendsShutdownTimes
        guard countsSleepsOnly else {
            self.now = SupervisionEnvironment.monotonicNow
            self.sleep = { try await ContinuousClock().sleep(for: $0) }
            return
        }
        let time = ManualTime()
        self.now = { time.now }
        self.sleep = { time.advance(by: $0) }
    }

    /// The vector's trace, with the results and events that came, and the state at the end.
    package func play() async throws -> JSONValue {
        var steps: [JSONValue] = []
        for operation in self.vector.operations {
            let result = await self.perform(operation.array ?? [])
            try await self.settle()
            steps.append([
                "op": operation, "result": result, "events": .array(self.record.takeEvents()),
            ])
        }
        let final = await self.final()
        await self.end()
        return ["name": .string(self.vector.name), "trace": .array(steps), "final": final]
    }

    private func end() async {
        self.root?.kill()
        _ = await self.running?.value
    }

    private func final() async -> JSONValue {
        guard let root = self.root, let children = try? await root.whichChildren() else {
            return ["supervisor_alive": false]
        }
        return [
            "supervisor_alive": true, "children": Self.text(of: children), "counts": Self.text(of: await root.counts),
        ]
    }

    // MARK: - Operations

    private func perform(_ operation: [JSONValue]) async -> JSONValue {
        let arguments = operation.dropFirst()
        do {
            return try await self.perform(operation.first?.string ?? "", Array(arguments))
        } catch let refusal as Refusal {
            return .string("error:\(refusal.text)")
        } catch let error as SupervisionError {
            return .string("error:\(Refusal(error).text)")
        } catch {
            return .string("error:\(error)")
        }
    }

    private func perform(_ name: String, _ arguments: [JSONValue]) async throws -> JSONValue {
        let first = arguments.first?.string ?? ""
        switch name {
        case "start_supervisor": return try await self.startSupervisor()
        case "exit" where first == "@sup": await self.exitRoot(arguments.last?.string ?? "")
        case "exit": self.record.exit(first, reason: arguments.last?.string ?? "")
        case "sleep": try await self.sleep(.milliseconds(arguments.first?.integer ?? 0))
        default: return try await self.call(name, first, arguments)
        }
        return "ok"
    }

    private func call(_ name: String, _ first: String, _ arguments: [JSONValue]) async throws -> JSONValue {
        guard let root = self.root else { throw Refusal("noproc") }
        switch name {
        case "start_child":
            try await root.startChild(try self.specification(arguments.first ?? .null, under: ""))
        case "start_simple":
            guard let template = self.vector.supervisor["children"]?.array?.first else { throw Refusal("not_found") }
            let specification = try self.specification(template, under: "", named: first)
            try await root.startInstance(
                named: specification.id, kill: specification.kill, run: specification.run)
        case "terminate_child": try await root.terminateChild(first)
        case "restart_child": try await root.restartChild(first)
        case "delete_child": try await root.deleteChild(first)
        case "terminate_pid":
            guard let reference = self.record.reference(of: first) else { throw Refusal("not_found") }
            try await root.terminateChild(reference)
        case "which": return Self.text(of: try await root.whichChildren())
        case "counts":
            _ = try await root.whichChildren()
            return Self.text(of: await root.counts)
        case "stop":
            await self.exitRoot("shutdown")
            return "shutdown"
        default: throw Refusal("unknown operation")
        }
        return "ok"
    }

    /// An exit signal from the supervisor's parent, at which it ends with that reason.
    private func exitRoot(_ reason: String) async {
        guard let root = self.root else { return }
        if reason == "kill" { root.kill() } else { root.stop() }
        _ = await self.running?.value
        self.root = nil
        self.record.supervisorIsDown(reason == "kill" ? "killed" : reason)
    }

    private func startSupervisor() async throws -> JSONValue {
        let root = try self.supervisor(self.vector.supervisor, path: "")
        let (starts, started) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.running = Task {
            let result: Result<Void, any Error>
            do {
                result = .success(try await root.run(ready: { started.yield() }))
            } catch {
                result = .failure(error)
            }
            started.finish()
            return result
        }
        for await _ in starts {
            self.root = root
            return "ok"
        }
        guard case .failure(let error as SupervisionError)? = await self.running?.value else { return "ok" }
        if case .failedToStart = error.code, let child = self.record.lastFailedStart {
            throw Refusal("failed_to_start_child:\(child)")
        }
        throw error
    }

    // MARK: - Building

    private func supervisor(_ json: JSONValue, path: String) throws -> Supervisor {
        let configuration = try Supervisor.Configuration(json, name: path)
        try configuration.checkFlags()
        let record = self.record
        let supervisor = try Supervisor(
            configuration,
            children: try (json["children"]?.array ?? []).map { try self.specification($0, under: path) },
            environment: SupervisionEnvironment(
                logger: Logger(label: "conformance", factory: { _ in SwiftLogNoOpLogHandler() }),
                observe: { record.observe($0) }, now: self.now))
        record.began(supervisor, path: path)
        return supervisor
    }

    private func specification(
        _ json: JSONValue, under parent: String, named name: String? = nil
    ) throws -> ChildSpecification {
        let child = try SimulatedChild(json, extendsShutdownTimes: self.extendsShutdownTimes)
        let id = name.map { "\(child.id)#\($0)" } ?? child.id
        let path = parent.isEmpty ? id : "\(parent)/\(id)"
        let record = self.record
        return ChildSpecification(
            id: id, restart: child.restart, shutdown: child.shutdown, type: child.type,
            isSignificant: child.isSignificant, kill: { record.kill(path) }
        ) { context in
            switch child.outcome(ofAttempt: record.attempt(path)) {
            case .error: throw SimulatedFailure(description: "error")
            case .ignore: throw ChildIgnored()
            case .running: break
            }
            if let nested = child.nested {
                try await self.supervisor(nested, path: path).run(as: context)
            } else {
                try await child.run(context, mailbox: record.mailbox(path))
            }
        }
    }

    // MARK: - Rest

    /// Waits until nothing moves: every supervisor is at rest, after everything that was posted to it, and every
    /// end that is under way has been seen.
    private func settle() async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            let before = self.record.changes
            if await self.isAtRest(), self.record.changes == before {
                if self.root != nil, self.record.isRootFinished {
                    self.root = nil
                    self.record.supervisorIsDown("shutdown")
                }
                return
            }
            try await ContinuousClock().sleep(for: .microseconds(100))
        }
        throw VectorError("\(self.vector.name): the scenario does not come to rest")
    }

    private func isAtRest() async -> Bool {
        guard self.record.isQuiet else { return false }
        for supervisor in self.record.supervisors {
            _ = try? await supervisor.whichChildren()
            guard await supervisor.isAtRest else { return false }
        }
        return self.record.isQuiet
    }

    // MARK: - Words

    private static func text(of children: [ChildStatus]) -> JSONValue {
        .array(
            children.map { child in
                let state =
                    switch child.state {
                    case .starting, .running, .waiting, .stopping: "running"
                    case .restarting: "restarting"
                    case .none: "none"
                    case .leaked: "leaked"
                    }
                return [.string(child.id), .string(state)]
            })
    }

    private static func text(of counts: ChildCounts) -> JSONValue {
        [
            "specs": .integer(Int64(counts.specifications)), "active": .integer(Int64(counts.active)),
            "supervisors": .integer(Int64(counts.supervisors)), "workers": .integer(Int64(counts.workers)),
        ]
    }
}

/// Time that passes only by `advance(by:)`.
private final class ManualTime: Sendable {
    private let time = Mutex(Duration.zero)

    var now: Duration { self.time.withLock { $0 } }

    func advance(by duration: Duration) { self.time.withLock { $0 += duration } }
}

/// What has happened so far, and the ways to reach what runs.
private final class Record: Sendable {
    private struct State {
        var events: [JSONValue] = []
        var changes = 0
        var attempts: [String: Int] = [:]
        var instances: [String: Int] = [:]
        var references: [String: ChildReference] = [:]
        var mailboxes: [String: Mailbox] = [:]
        var supervisors: [String: Supervisor] = [:]
        /// Paths whose end is under way: being stopped, or ended and not yet seen by their supervisor.
        var ending: Set<String> = []
        var lastFailedStart: String?
        var isRootFinished = false
    }

    private let state = Mutex(State())

    var changes: Int { self.state.withLock { $0.changes } }
    var isQuiet: Bool { self.state.withLock { $0.ending.isEmpty } }
    var supervisors: [Supervisor] { self.state.withLock { Array($0.supervisors.values) } }
    var isRootFinished: Bool { self.state.withLock { $0.isRootFinished } }
    var lastFailedStart: String? { self.state.withLock { $0.lastFailedStart } }

    func takeEvents() -> [JSONValue] {
        self.state.withLock { state in
            defer { state.events = [] }
            return state.events
        }
    }

    func attempt(_ path: String) -> Int {
        self.state.withLock { state in
            state.attempts[path, default: 0] += 1
            return state.attempts[path] ?? 1
        }
    }

    func mailbox(_ path: String) -> Mailbox {
        let mailbox = Mailbox()
        self.state.withLock { $0.mailboxes[path] = mailbox }
        return mailbox
    }

    func reference(of path: String) -> ChildReference? { self.state.withLock { $0.references[path] } }

    func began(_ supervisor: Supervisor, path: String) {
        self.state.withLock { $0.supervisors[path] = supervisor }
    }

    func exit(_ path: String, reason: String) {
        let (supervisor, mailbox) = self.state.withLock { state -> (Supervisor?, Mailbox?) in
            guard let mailbox = state.mailboxes[path] else {
                // A supervisor ends by a signal of its parent only, unless it is killed.
                guard reason == "kill", !path.isEmpty, let supervisor = state.supervisors[path] else {
                    return (nil, nil)
                }
                state.ending.insert(path)
                return (supervisor, nil)
            }
            state.ending.insert(path)
            return (nil, mailbox)
        }
        mailbox?.send(.exit(reason))
        supervisor?.kill()
    }

    func kill(_ path: String) { self.state.withLock { $0.mailboxes[path] }?.send(.kill) }

    func supervisorIsDown(_ reason: String) {
        self.state.withLock { $0.events.append(["down", "@sup", 1, .string(reason)]) }
    }

    func observe(_ event: SupervisionEvent) {
        self.state.withLock { state in
            state.changes += 1
            let path = event.child.map { event.supervisor.isEmpty ? $0.id : "\(event.supervisor)/\($0.id)" } ?? ""
            switch event.kind {
            case .started:
                state.instances[path, default: 0] += 1
                state.references[path] = event.child
                state.events.append(["started", .string(path), .integer(Int64(state.instances[path] ?? 0))])
            case .ended(let exit):
                state.ending.remove(path)
                state.mailboxes[path] = nil
                state.events.append([
                    "down", .string(path), .integer(Int64(state.instances[path] ?? 0)), .string(Self.text(of: exit)),
                ])
            case .startFailed:
                state.ending.remove(path)
                state.lastFailedStart = path
                state.events.append(["start_failed", .string(path)])
            case .startIgnored: state.events.append(["start_ignored", .string(path)])
            case .finished:
                state.supervisors[event.supervisor] = nil
                if event.supervisor.isEmpty {
                    state.isRootFinished = true
                } else {
                    state.ending.insert(event.supervisor)
                }
            case .restarting, .hung, .leaked, .returned, .gaveUp: break
            }
        }
    }

    private static func text(of exit: ChildExit) -> String {
        switch exit {
        case .normal: "normal"
        case .shutdown(nil), .gaveUp: "shutdown"
        case .shutdown(let detail?): "shutdown:\(detail)"
        case .failed(let reason): reason
        case .killed: "killed"
        case .hung: "hung"
        }
    }
}
