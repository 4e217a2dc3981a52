internal import Domain
internal import Foundation
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Sandboxing
internal import Screens
internal import ShimProtocol
internal import Synchronization

/// The exchange with the shim of one launch, from its welcome to its exit record.
actor AgentConversation {
    private let assignment: Agent.Assignment
    private let generation: Int
    private let configuration: AgentConfiguration
    private let group: MultiThreadedEventLoopGroup
    private let clock: any Clock<Duration>
    private let terminal: AgentTerminal
    private let report: @Sendable (AgentStatus) -> Void
    /// The launch has just begun: its socket may not exist yet.
    private let isLaunch: Bool

    private let rules: ScreenRules
    private var machine: AgentMachine
    /// While the shim talks with us.
    private var connection: ShimConnection?
    private var hasConnected = false
    /// Since the last connection was opened.
    private var wasWelcomed = false
    /// The process whose end takes the program's tree along, once the shim has named it.
    private(set) var launcher: Int32?

    /// How often the screen is looked at: while the prompt waits for it, and after that.
    private static let firstLooks = Duration.milliseconds(50)
    private static let laterLooks = Duration.milliseconds(250)
    /// How long a prompt waits for the screen that it wants.
    private static let screenTimeout = Duration.seconds(10)

    /// `report` receives each new state.
    init(
        _ assignment: Agent.Assignment, generation: Int, isLaunch: Bool, configuration: AgentConfiguration,
        group: MultiThreadedEventLoopGroup, clock: any Clock<Duration>, terminal: AgentTerminal,
        report: @escaping @Sendable (AgentStatus) -> Void
    ) {
        self.assignment = assignment
        self.generation = generation
        self.isLaunch = isLaunch
        self.configuration = configuration
        self.group = group
        self.clock = clock
        self.terminal = terminal
        self.report = report
        self.rules = ScreenRules(assignment.definition.screen)
        self.machine = AgentMachine(
            inputs: PromptText.inputs(
                prompt: assignment.definition.promptDelivery == .typed ? assignment.prompt : "",
                closing: assignment.definition.closing),
            waitsForScreen: self.rules.recognizesReady)
    }

    /// Talks to the shim until the program's end, and looks at its screen where there are rules for it. Nil when the shim
    /// is gone and left no record. Throws `AgentError` and `HostFileError`; the program may still run then.
    func run() async throws -> ExitRecord? {
        let (directory, generation) = (self.assignment.directory, self.generation)
        guard let spec = try await self.configuration.files.run({ try directory.launchSpec(generation) }) else {
            throw AgentError(code: .crashed, message: "the agent's launch file is missing")
        }
        guard !self.rules.isEmpty else { return try await self.talk(spec) }
        return try await withThrowingTaskGroup(of: ExitRecord?.self) { tasks in
            tasks.addTask { try await self.talk(spec) }
            tasks.addTask {
                try await self.watchScreen(spec)
                return nil
            }
            defer { tasks.cancelAll() }
            return try await tasks.next() ?? nil
        }
    }

    // MARK: - The screen

    /// Ends only with its task.
    private func watchScreen(_ spec: LaunchSpec) async throws {
        let (directory, generation) = (self.assignment.directory, self.generation)
        let follower = ScreenFollower(
            ScreenWatch(rules: self.rules, columns: Int(spec.columns), rows: Int(spec.rows)))
        let start = ContinuousClock.now
        while true {
            try await self.clock.sleep(
                for: self.machine.isWaitingForScreen ? Self.firstLooks : Self.laterLooks)
            guard self.connection != nil else { continue }
            do {
                let found = try await self.configuration.files.run { try follower.look(at: directory, generation) }
                if let found { await self.take(.seen(found.state, rule: found.rule)) }
            } catch is HostFileError {
                // The agent runs on, and its screen is looked at again.
                continue
            }
            if self.machine.isWaitingForScreen, ContinuousClock.now - start > Self.screenTimeout {
                await self.take(.screenTimedOut)
            }
        }
    }

    /// What follows from the screen. A connection that is lost meanwhile is handled by `talk`.
    private func take(_ event: AgentMachine.Event) async {
        guard let connection = self.connection else { return }
        do {
            _ = try await self.handle(event, connection)
        } catch {
            return  // `talk` notices the same loss, connects again, and the machine repeats its inputs
        }
    }

    // MARK: - The shim

    private func talk(_ spec: LaunchSpec) async throws -> ExitRecord? {
        let (directory, generation) = (self.assignment.directory, self.generation)
        let hello = ShimFrame.hello(token: spec.token, epoch: self.assignment.epoch)
        var deadline = ContinuousClock.now + self.configuration.launchTimeout
        var pause = Duration.milliseconds(2)
        while true {
            try Task.checkCancellation()
            var isAbsent = false
            self.wasWelcomed = false
            do {
                let record = try await ShimConnection.with(
                    path: directory.socketPath(generation), group: self.group
                ) { connection in
                    try await connection.send(hello)
                } receive: { frame, connection in
                    try await self.received(frame, connection)
                }
                if let record { return record }
            } catch let error as IOError {
                isAbsent = error.errnoCode == ENOENT || error.errnoCode == ECONNREFUSED
            }
            self.connection = nil
            try Task.checkCancellation()
            do {
                if let record = try await self.configuration.files.run({ try directory.exitRecord(generation) }) {
                    return self.settled(record)
                }
            } catch let error as HostFileError {
                // A record that cannot be read proves nothing about the program; it is tried again.
                guard ContinuousClock.now < deadline else {
                    throw AgentError(code: .crashed, message: "its exit record cannot be read: \(error)")
                }
                try await self.clock.sleep(for: Self.firstLooks)
                continue
            }
            // A socket that does not exist means that the shim is gone, except right after a launch. Anything
            // else (no descriptors left, a full backlog) proves nothing about the shim and is tried again.
            if isAbsent, self.hasConnected || !self.isLaunch { return nil }
            if self.wasWelcomed { deadline = ContinuousClock.now + self.configuration.launchTimeout }
            guard ContinuousClock.now < deadline else {
                throw AgentError(code: .crashed, message: "the agent's shim does not answer")
            }
            try await self.clock.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(50))
        }
    }

    private func settled(_ record: ExitRecord) -> ExitRecord? {
        for action in self.machine.handle(.disconnected(record: record)) {
            if case .finish(let record) = action { return record }
        }
        return nil
    }

    private func received(_ frame: ShimFrame, _ connection: ShimConnection) async throws -> ExitRecord? {
        self.hasConnected = true
        if case .welcome(let launcher, _) = frame {
            self.wasWelcomed = true
            self.launcher = launcher
            self.connection = connection
        }
        if case .resized(let columns, let rows) = frame { await self.terminal.resize(columns: columns, rows: rows) }
        let event: AgentMachine.Event? =
            switch frame {
            case .welcome(_, let length): .welcomed(logLength: length)
            case .output: .output
            case .written(let id): .written(id: id)
            case .viewLost: .viewLost
            case .refused(let reason): .refused(reason: reason)
            case .inputRefused(_, let reason): .inputRefused(reason: reason)
            case .exited(let record): .exited(record)
            case .event(let event): .said(event.line)
            case .receipt, .done, .resized: nil
            case .hello, .input, .prompt, .resize, .stop, .reap, .watch, .message, .keys, .freeze, .thaw, .follow: nil
            }
        guard let event else { return nil }
        return try await self.handle(event, connection)
    }

    /// Gives the machine an event, does what follows, and reports a change of state unless the launch is over.
    private func handle(_ event: AgentMachine.Event, _ connection: ShimConnection) async throws -> ExitRecord? {
        let before = self.machine.state
        let result = try await self.perform(self.machine.handle(event), connection)
        if result == nil, self.machine.state != before {
            self.report(AgentStatus(state: self.machine.state, evidence: self.machine.evidence))
        }
        return result
    }

    private func perform(_ actions: [AgentMachine.Action], _ connection: ShimConnection) async throws -> ExitRecord? {
        var result: ExitRecord?
        for action in actions {
            switch action {
            case .watch(let offset): try await connection.send(.watch(offset: offset))
            case .follow(let number): try await connection.send(.follow(after: number))
            case .type(let inputs):
                for input in inputs {
                    try await connection.send(
                        input.isPrompt
                            ? .prompt(id: input.id, text: input.bytes) : .input(id: input.id, bytes: input.bytes))
                }
            case .openView: await self.terminal.reopen()
            case .stop: try await connection.send(.stop)
            case .finish(let record):
                result = record
                // The record is on disk and here; the shim may go, and its pane with it.
                try await connection.send(.reap)
            case .fail(let error): throw error
            }
        }
        return result
    }
}

/// A screen's watch that is used from threads of a pool, one look at a time.
private final class ScreenFollower: Sendable {
    private let watch: Mutex<ScreenWatch>

    init(_ watch: consuming sending ScreenWatch) { self.watch = Mutex(watch) }

    func look(
        at directory: AgentDirectory, _ generation: Int
    ) throws -> (state: ScreenRule.State, rule: Int)? {
        try self.watch.withLock { try $0.look(at: directory, generation) }
    }
}
