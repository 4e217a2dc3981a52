internal import CLinux
internal import Foundation
package import Domain
package import Logging
internal import NIOCore
package import NIOPosix
package import Sandboxing
package import ShimProtocol
internal import Screens
internal import Terminals

/// One launch of an agent: its shim, its terminal server, its sandbox, from start or adoption to the exit
/// record. `run()` is what the agent's supervisor restarts; each call is a new generation, unless the
/// last one still lives or left a record that nobody has read.
package actor Agent {
    package struct Task: Sendable {
        package let directory: AgentDirectory
        package let definition: AgentDefinition
        package let profile: SandboxProfile
        package let workspacePath: String
        package let workspace: WorkspaceID?
        package let prompt: String
        /// This node held the job in an earlier life, so the last launch on disk is this delivery's own.
        package let isRecovered: Bool
        /// The node's incarnation: a shim refuses an owner older than one that it has seen.
        package let epoch: UInt64
        /// False when a launch that was cut off may have had its effect, and must not be repeated.
        package let isRepeatable: Bool

        package init(
            directory: AgentDirectory, definition: AgentDefinition, profile: SandboxProfile, workspacePath: String,
            workspace: WorkspaceID? = nil, prompt: String, isRecovered: Bool, epoch: UInt64, isRepeatable: Bool = true
        ) {
            self.isRepeatable = isRepeatable
            self.directory = directory
            self.definition = definition
            self.profile = profile
            self.workspacePath = workspacePath
            self.workspace = workspace
            self.prompt = prompt
            self.isRecovered = isRecovered
            self.epoch = epoch
        }
    }

    let task: Task
    let configuration: AgentConfiguration
    let group: MultiThreadedEventLoopGroup
    let clock: any Clock<Duration>
    let logger: Logger
    private let token: @Sendable () throws -> [UInt8]
    private let report: @Sendable (AgentState) async -> Void

    private let rules: ScreenRules
    private var machine: AgentMachine
    /// While the shim talks with us.
    private var connection: ShimConnection?
    var generation = 0
    private var views = 0
    private var isFirstRun = true
    private var hasConnected = false
    /// Since the last connection was opened.
    private var wasWelcomed = false
    private var reportedAt = ContinuousClock.now - .seconds(1)
    /// A report of the state that waits a moment for further changes.
    private var pendingReport: _Concurrency.Task<Void, Never>?
    /// The process whose end takes the program's tree along, once the shim has told of it.
    var launcher: Int32?

    /// `token` makes 32 random bytes; `report` hears of each change of state.
    package init(
        _ task: Task, configuration: AgentConfiguration, group: MultiThreadedEventLoopGroup, logger: Logger,
        clock: any Clock<Duration> = ContinuousClock(), token: @escaping @Sendable () throws -> [UInt8],
        report: @escaping @Sendable (AgentState) async -> Void
    ) {
        self.task = task
        self.configuration = configuration
        self.group = group
        self.clock = clock
        self.logger = logger
        self.token = token
        self.report = report
        self.rules = ScreenRules(task.definition.screen)
        self.machine = Self.machine(task, self.rules)
    }

    private static func machine(_ task: Task, _ rules: ScreenRules) -> AgentMachine {
        AgentMachine(
            inputs: PromptText.inputs(prompt: task.prompt, closing: task.definition.closing),
            waitsForScreen: rules.canTellReady)
    }

    /// Something of it may run yet: under another owner, or without proof that it is gone.
    package internal(set) var mayLive = false

    /// The number of the launch that ran last.
    package var currentGeneration: Int { self.generation }

    /// Takes the agent's last launch back when this node began it and it may still count, else starts a new
    /// one; returns the exit record of a success. Throws `AgentError` when the program failed, the shim
    /// crashed, or nothing could be started. When the task is cancelled the program is ended first, its
    /// whole tree with it.
    package func run(ready: @Sendable () -> Void) async throws -> ExitRecord {
        self.machine = Self.machine(self.task, self.rules)
        await self.tell(.starting, "it is being launched")
        self.reportedAt = ContinuousClock.now - .seconds(1)
        ready()
        var isGone = false
        do {
            let record = try await self.runToEnd()
            // Its record is the proof.
            isGone = true
            await self.tell(AgentState(of: record), "its exit record: \(record.summary)")
            guard record.isSuccess else { throw self.failure(record) }
            return record
        } catch  where error is CancellationError || _Concurrency.Task.isCancelled {
            // A shield, awaited here: the tree must be gone before the caller learns of the cancellation.
            _ = await _Concurrency.Task { await self.stopProgram() }.value
            throw CancellationError()
        } catch let error as AgentError where error.code != .replaced && !isGone {
            // The next launch must not find this one's program beside it. One that has ended is left as it is.
            guard await _Concurrency.Task(operation: { await self.stopProgram() }).value else {
                throw AgentError(
                    code: .notGone, message: "\(error.message); what runs of it could not be proved gone")
            }
            throw error
        }
    }

    /// An agent may say what it does as often as it likes; it is told on no more than ten times a second.
    private func reportSoon() async {
        guard self.pendingReport == nil else { return }
        guard ContinuousClock.now - self.reportedAt < .milliseconds(100) else {
            return await self.note(self.machine.state, self.machine.evidence)
        }
        let clock = self.clock
        // Unstructured, and ended by the final report: nobody waits for it.
        self.pendingReport = _Concurrency.Task {
            do { try await clock.sleep(for: .milliseconds(100)) } catch { return }
            await self.reportNow()
        }
    }

    private func reportNow() async {
        guard self.pendingReport != nil else { return }
        self.pendingReport = nil
        await self.note(self.machine.state, self.machine.evidence)
    }

    private func tell(_ state: AgentState, _ evidence: String) async {
        self.pendingReport?.cancel()
        self.pendingReport = nil
        await self.note(state, evidence)
    }

    /// Reports the state, and keeps it with its evidence for whoever looks at the agent's directory.
    private func note(_ state: AgentState, _ evidence: String) async {
        self.reportedAt = .now
        self.task.directory.note(AgentStatus(state: state, evidence: evidence))
        await self.report(state)
    }

    private func failure(_ record: ExitRecord) -> AgentError {
        let words = Printable.text(String(decoding: record.errorOutput, as: UTF8.self), limit: 300)
        return AgentError(
            code: record.endedBy == .launchFailed ? .launchFailed : record.isCutOff ? .crashed : .failed,
            message:
                "the agent '\(self.task.definition.name)' failed: \(record.summary)\(words.isEmpty ? "" : ": \(words)")"
        )
    }

    private func runToEnd() async throws -> ExitRecord {
        let last = self.task.directory.generations.last ?? 0
        if self.isFirstRun, last > 0 {
            self.isFirstRun = false
            self.generation = last
            if let record = try await self.takeBack() { return record }
            if self.task.isRecovered, !self.task.isRepeatable {
                throw AgentError(code: .crashed, message: "its last launch is gone and left no exit record")
            }
        }
        self.isFirstRun = false
        try await self.launch(generation: last + 1)
        guard let record = try await self.converse() else {
            throw AgentError(code: .crashed, message: "the agent's shim ended without an exit record")
        }
        return record
    }

    /// The record of the last launch, when this delivery is the one that began it: left on disk, or still to
    /// come from a living shim. Nil when a new launch must be made: the shim died, the program was ended by
    /// us or for want of an owner, or the launch belongs to an earlier attempt.
    private func takeBack() async throws -> ExitRecord? {
        guard self.task.isRecovered else {
            // An earlier attempt's program must be gone before the next one touches the workspace.
            if self.task.directory.isAlive(self.generation) {
                guard await self.stopProgram() else {
                    throw AgentError(
                        code: .notGone, message: "what runs of its last launch could not be proved gone")
                }
            }
            return nil
        }
        if let record = self.task.directory.exitRecord(self.generation) { return Self.counts(record) ? record : nil }
        do {
            guard let record = try await self.converse() else { return nil }
            self.logger.notice("a living agent was taken back", metadata: self.metadata)
            return Self.counts(record) ? record : nil
        } catch let error as AgentError where error.code == .crashed {
            guard await self.stopProgram() else {
                throw AgentError(
                    code: .notGone, message: "\(error.message); what runs of it could not be proved gone")
            }
            return nil
        }
    }

    /// A program that was ended from outside has not had its run.
    private static func counts(_ record: ExitRecord) -> Bool {
        switch record.endedBy {
        case .itself, .logQuota, .launchFailed, .logFailed: true
        case .stop, .orphaned: false
        }
    }

    var metadata: Logger.Metadata {
        ["agent.id": "\(self.task.directory.id)", "agent.generation": "\(self.generation)"]
    }

    // MARK: - Launching

    private func launch(generation: Int) async throws {
        self.generation = generation
        self.views = 0
        self.hasConnected = false
        self.launcher = nil
        let directory = self.task.directory
        try await self.configuration.gate?.pass()
        do {
            try directory.make(generation: generation)
            let token = try self.token()
            var spec: LaunchSpec
            let secrets = try self.secrets()
            do throws(SandboxError) {
                spec = try self.configuration.plan.launch(
                    self.task.definition.argv, environment: self.task.definition.environment, secrets: secrets,
                    profile: self.task.profile, workspace: self.task.workspacePath,
                    directory: WorkingDirectory.path(self.task.definition.directory, of: directory.id),
                    connection: .terminal(token: token, orphanGrace: self.configuration.orphanGrace))
            } catch {
                throw AgentError(code: .launchFailed, message: error.message)
            }
            spec.secrets = []
            spec.logQuota = UInt64(self.task.definition.logQuota)
            spec.keepsNewestLog = self.task.definition.keepsNewestLog
            try directory.write(ShimFiles.launch, spec.encoded, generation: generation)
            if !secrets.isEmpty { try directory.makePipe(ShimFiles.secrets, generation: generation) }
            try directory.write("tmux.conf", Array(TmuxServer.configurationText.utf8), generation: generation)
            try await self.openView(with: "agent")
            if !secrets.isEmpty { try await self.handOver(secrets) }
        } catch {
            try _Concurrency.Task.checkCancellation()
            // What the shim left says more than that its pane is gone.
            if let record = directory.exitRecord(generation) { throw self.failure(record) }
            if let error = error as? AgentError { throw error }
            throw AgentError(code: .launchFailed, message: "the agent's terminal could not be started: \(error)")
        }
    }

    private func secrets() throws -> [LaunchSpec.Secret] {
        let names = self.task.definition.secrets
        guard !names.isEmpty else { return [] }
        guard let workspace = self.task.workspace else {
            throw AgentError(code: .launchFailed, message: "the agent asks for secrets and belongs to no workspace")
        }
        return try self.configuration.secrets.secrets(names, of: workspace)
    }

    /// Gives the shim the secrets by a pipe that is gone afterwards: no file ever holds them.
    private func handOver(_ secrets: [LaunchSpec.Secret]) async throws {
        let path = "\(self.task.directory.generationPath(self.generation))/\(ShimFiles.secrets)"
        defer { _ = unsafe unlink(path) }
        let deadline = ContinuousClock.now + self.configuration.launchTimeout
        while ContinuousClock.now < deadline {
            // Without a reader yet it is refused.
            let pipe = unsafe open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)
            if pipe >= 0 {
                defer { close(pipe) }
                let bytes = LaunchSpec.Secret.encoded(secrets)
                guard unsafe write(pipe, bytes, bytes.count) == bytes.count else {
                    throw AgentError(
                        code: .launchFailed, message: "the secrets are longer than a pipe: expected 64 KiB in all")
                }
                return
            }
            try await self.clock.sleep(for: .milliseconds(2))
        }
        throw AgentError(code: .launchFailed, message: "the agent's shim did not ask for its secrets")
    }

    /// Starts a tmux server whose pane runs the shim: as `agent` for the launch, as `view` afterwards.
    private func openView(with verb: String) async throws {
        let directory = self.task.directory
        while directory.hasView(self.generation, self.views + 1) { self.views += 1 }
        self.views += 1
        let path = directory.generationPath(self.generation)
        let server = TmuxServer(
            executable: self.configuration.tmux, socket: directory.viewPath(self.generation, self.views))
        _ = try await server.start(
            configurationFile: "\(path)/tmux.conf", argv: [self.configuration.shim, verb, path], directory: path)
    }

    // MARK: - Talking to the shim

    /// How often the screen is looked at: while the prompt waits for it, and after that.
    private static let firstLooks = Duration.milliseconds(50)
    private static let laterLooks = Duration.milliseconds(250)
    /// How long a prompt waits for the screen that it wants.
    private static let screenPatience = Duration.seconds(10)

    /// Talks to the shim until the program's end, and looks at its screen where there are rules for it. Nil when the shim
    /// is gone and left no record.
    private func converse() async throws -> ExitRecord? {
        guard !self.rules.isEmpty else { return try await self.talk() }
        // Not a child task: the talk must not wait for the last look.
        let watch = _Concurrency.Task { await self.watchScreen() }
        defer { watch.cancel() }
        return try await self.talk()
    }

    private func watchScreen() async {
        guard let bytes = self.task.directory.read(ShimFiles.launch, generation: self.generation),
            let spec = try? LaunchSpec(decoding: bytes)
        else { return }
        var watch = ScreenWatch(rules: self.rules, columns: Int(spec.columns), rows: Int(spec.rows))
        let start = ContinuousClock.now
        while !_Concurrency.Task.isCancelled {
            let isWaiting = self.machine.isWaitingForScreen
            do { try await self.clock.sleep(for: isWaiting ? Self.firstLooks : Self.laterLooks) } catch { return }
            guard let connection = self.connection else { continue }
            let found = watch.look(at: self.task.directory, self.generation)
            if let found { await self.take(.seen(found.state, rule: found.rule), connection) }
            if self.machine.isWaitingForScreen, ContinuousClock.now - start > Self.screenPatience {
                await self.take(.patienceOver, connection)
            }
        }
    }

    /// What the screen tells; a connection that is lost meanwhile is the talk's matter.
    private func take(_ event: AgentMachine.Event, _ connection: ShimConnection) async {
        let before = self.machine.state
        _ = try? await self.perform(self.machine.handle(event), connection)
        if self.machine.state != before { await self.reportSoon() }
    }

    private func talk() async throws -> ExitRecord? {
        let directory = self.task.directory
        guard let bytes = directory.read(ShimFiles.launch, generation: self.generation),
            let spec = try? LaunchSpec(decoding: bytes)
        else { throw AgentError(code: .crashed, message: "the launch file of the agent cannot be read") }
        let hello = ShimFrame.hello(token: spec.token, epoch: self.task.epoch)
        let isLaunch = self.views > 0
        var deadline = ContinuousClock.now + self.configuration.launchTimeout
        var pause = Duration.milliseconds(2)
        while true {
            try _Concurrency.Task.checkCancellation()
            var isAbsent = false
            self.wasWelcomed = false
            self.connection = nil
            do {
                let record = try await ShimConnection.with(
                    path: directory.socketPath(self.generation), group: self.group
                ) { connection in
                    try await connection.send(hello)
                } receive: { frame, connection in
                    try await self.received(frame, connection)
                }
                if let record { return record }
            } catch let error as AgentError {
                self.mayLive = error.code == .replaced
                throw error
            } catch let error as IOError {
                isAbsent = error.errnoCode == ENOENT || error.errnoCode == ECONNREFUSED
            }
            self.connection = nil
            try _Concurrency.Task.checkCancellation()
            if let record = directory.exitRecord(self.generation) { return self.settled(record) }
            // A socket that does not exist means that the shim is gone, except right after a launch. Anything
            // else (no descriptors left, a full backlog) says nothing about the shim and is tried again.
            if isAbsent, self.hasConnected || !isLaunch { return nil }
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
        if case .resized(let columns, let rows) = frame { await self.resizeView(columns, rows) }
        let before = self.machine.state
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
        let result = try await self.perform(self.machine.handle(event), connection)
        if result == nil, self.machine.state != before { await self.reportSoon() }
        return result
    }

    private func perform(
        _ actions: [AgentMachine.Action], _ connection: ShimConnection
    ) async throws -> ExitRecord? {
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
            case .openView: await self.reopenView()
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

    /// Gives the pane the size of the terminal that it shows. A failure changes only what viewers see.
    private func resizeView(_ columns: UInt16, _ rows: UInt16) async {
        guard let latest = self.task.directory.latestView(self.generation) else { return }
        do {
            try await TmuxServer(executable: self.configuration.tmux, socket: latest)
                .resize(columns: columns, rows: rows)
        } catch {
            self.logger.debug("the agent's pane was not resized", error: error, metadata: self.metadata)
        }
    }

    private func reopenView() async {
        // After an adoption the shim tells again of the pane that it lost long ago.
        if let latest = self.task.directory.latestView(self.generation),
            await TmuxServer(executable: self.configuration.tmux, socket: latest).isAlive()
        {
            return
        }
        self.logger.warning("the agent's tmux server is gone; the agent goes on", metadata: self.metadata)
        do {
            try await self.openView(with: "view")
        } catch {
            self.logger.error("the agent's terminal could not be shown again", error: error, metadata: self.metadata)
        }
    }
}

extension AgentDirectory {
    fileprivate func hasView(_ generation: Int, _ view: Int) -> Bool {
        unsafe access(self.viewPath(generation, view), F_OK) == 0
    }
}
