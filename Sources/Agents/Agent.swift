internal import CLinux
package import Domain
package import Logging
internal import NIOCore
package import NIOPosix
package import Sandboxing
package import ShimProtocol
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
        package let prompt: String
        /// The node's incarnation: a shim refuses an owner older than one that it has seen.
        package let epoch: UInt64

        package init(
            directory: AgentDirectory, definition: AgentDefinition, profile: SandboxProfile, workspacePath: String,
            prompt: String, epoch: UInt64
        ) {
            self.directory = directory
            self.definition = definition
            self.profile = profile
            self.workspacePath = workspacePath
            self.prompt = prompt
            self.epoch = epoch
        }
    }

    private let task: Task
    private let configuration: AgentConfiguration
    private let group: MultiThreadedEventLoopGroup
    private let clock: any Clock<Duration>
    private let logger: Logger
    private let token: @Sendable () throws -> [UInt8]
    private let report: @Sendable (AgentState) async -> Void

    private var machine: AgentMachine
    private var generation = 0
    private var views = 0
    private var isFresh = true

    private static let tokenFile = "token"

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
        self.machine = AgentMachine(inputs: PromptText.inputs(prompt: task.prompt, closing: task.definition.closing))
    }

    /// The number of the launch that ran last.
    package var currentGeneration: Int { self.generation }

    /// Takes the agent's last launch back when it still lives, else starts a new one; returns the exit record
    /// of a success. Throws `AgentError` when the program failed, the shim crashed, or nothing could be
    /// started. When the task is cancelled the program is ended first, its whole tree with it.
    package func run(ready: @Sendable () -> Void) async throws -> ExitRecord {
        self.machine = AgentMachine(
            inputs: PromptText.inputs(prompt: self.task.prompt, closing: self.task.definition.closing))
        await self.report(.starting)
        let last = self.task.directory.generations.last ?? 0
        self.generation = last
        let record: ExitRecord
        if self.isFresh, last > 0, let left = try await self.adopt(ready: ready) {
            record = left
        } else {
            self.isFresh = false
            try await self.launch(generation: last + 1)
            ready()
            guard let ended = try await self.converse() else {
                throw AgentError(code: .crashed, message: "the agent's shim ended without an exit record")
            }
            record = ended
        }
        await self.report(record.isSuccess ? .exited : .crashed)
        guard record.isSuccess else {
            let code: AgentError.Code = record.endedBy == .launchFailed ? .launchFailed : .failed
            throw AgentError(code: code, message: "the agent '\(self.task.definition.name)' failed: \(record.summary)")
        }
        return record
    }

    /// The record of the last launch: the one that it left on disk, or the one that it leaves when it is
    /// done. Nil when its shim died without one, so that a new launch must be made.
    private func adopt(ready: @Sendable () -> Void) async throws -> ExitRecord? {
        self.isFresh = false
        if let record = self.task.directory.exitRecord(self.generation) { return record }
        do {
            ready()
            let record = try await self.converse()
            if record != nil { self.logger.notice("a living agent was taken back", metadata: self.metadata) }
            return record
        } catch let error as AgentError where error.code == .crashed {
            return nil
        }
    }

    private var metadata: Logger.Metadata {
        ["agent.id": "\(self.task.directory.id)", "agent.generation": "\(self.generation)"]
    }

    // MARK: - Launching

    private func launch(generation: Int) async throws {
        self.generation = generation
        self.views = 0
        let directory = self.task.directory
        do {
            try directory.make(generation: generation)
            let spec = self.configuration.plan.terminal(
                self.task.definition.argv, environment: self.task.definition.environment, profile: self.task.profile,
                workspace: self.task.workspacePath, token: try self.token(),
                orphanGrace: self.configuration.orphanGrace)
            try directory.write(ShimFiles.launch, spec.encoded, generation: generation)
            try directory.write("tmux.conf", Array(TmuxServer.configurationText.utf8), generation: generation)
            try await self.openView(with: "agent")
        } catch let error as AgentError {
            throw error
        } catch {
            throw AgentError(code: .launchFailed, message: "the agent's terminal could not be started: \(error)")
        }
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

    /// Talks to the shim until the program's end. Nil when the shim is gone and left no record.
    private func converse() async throws -> ExitRecord? {
        do {
            let record = try await self.connectedUntilEnd()
            return try record ?? self.recordAfterDisconnect()
        } catch let error where error is CancellationError || _Concurrency.Task.isCancelled {
            // A shield, awaited here: the tree must be gone before the caller learns of the cancellation.
            await _Concurrency.Task { await self.stopProgram() }.value
            throw CancellationError()
        }
    }

    private func recordAfterDisconnect() throws -> ExitRecord? {
        let record = self.task.directory.exitRecord(self.generation)
        for action in self.machine.handle(.disconnected(record: record)) {
            if case .finish(let record) = action { return record }
        }
        return nil
    }

    private func connectedUntilEnd() async throws -> ExitRecord? {
        let directory = self.task.directory
        guard let bytes = directory.read(ShimFiles.launch, generation: self.generation),
            let spec = try? LaunchSpec(decoding: bytes)
        else { throw AgentError(code: .crashed, message: "the launch file of the agent cannot be read") }
        let hello = ShimFrame.hello(token: spec.token, epoch: self.task.epoch)
        let path = directory.socketPath(self.generation)
        let deadline = ContinuousClock.now + self.configuration.launchTimeout
        var pause = Duration.milliseconds(2)
        while true {
            do {
                return try await ShimConnection.with(path: path, group: self.group) { connection in
                    try await connection.send(hello)
                } receive: { frame, connection in
                    try await self.received(frame, connection)
                }
            } catch let error as AgentError {
                throw error
            } catch {
                // No socket yet, or none any more. An adopted shim that is gone answers at once by its absence.
                try _Concurrency.Task.checkCancellation()
                if directory.exitRecord(self.generation) != nil { return nil }
                guard !self.isAdopting, ContinuousClock.now < deadline else {
                    throw AgentError(code: .crashed, message: "the agent's shim does not answer: \(error)")
                }
                try await self.clock.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(50))
            }
        }
    }

    /// True until this process has launched a generation itself.
    private var isAdopting: Bool { self.views == 0 }

    private func received(_ frame: ShimFrame, _ connection: ShimConnection) async throws -> ExitRecord? {
        let before = self.machine.state
        let event: AgentMachine.Event? =
            switch frame {
            case .welcome(_, let length): .welcomed(logLength: length)
            case .output: .output
            case .written(let id): .written(id: id)
            case .viewLost: .viewLost
            case .refused(let reason): .refused(reason: reason)
            case .exited(let record): .exited(record)
            case .hello, .input, .resize, .stop, .reap, .watch: nil
            }
        guard let event else { return nil }
        var result: ExitRecord?
        for action in self.machine.handle(event) {
            switch action {
            case .watch(let offset): try await connection.send(.watch(offset: offset))
            case .type(let inputs):
                for input in inputs { try await connection.send(.input(id: input.id, bytes: input.bytes)) }
            case .openView: await self.reopenView()
            case .stop: try await connection.send(.stop)
            case .finish(let record): result = record
            case .fail(let error): throw error
            }
        }
        if result == nil, self.machine.state != before { await self.report(self.machine.state) }
        return result
    }

    private func reopenView() async {
        self.logger.warning("the agent's tmux server is gone; the agent goes on", metadata: self.metadata)
        do {
            try await self.openView(with: "view")
        } catch {
            self.logger.error("the agent's terminal could not be shown again", error: error, metadata: self.metadata)
        }
    }

    /// Ends the program's tree and waits for the record that proves it, at most the stop timeout.
    private func stopProgram() async {
        let directory = self.task.directory
        guard directory.exitRecord(self.generation) == nil,
            let bytes = directory.read(ShimFiles.launch, generation: self.generation),
            let spec = try? LaunchSpec(decoding: bytes)
        else { return }
        let hello = ShimFrame.hello(token: spec.token, epoch: self.task.epoch)
        let path = directory.socketPath(self.generation)
        let group = self.group
        let stopping = _Concurrency.Task {
            try await ShimConnection.with(path: path, group: group) { connection in
                try await connection.send(hello)
                try await connection.send(.stop)
            } receive: { frame, connection in
                guard case .exited(let record) = frame else { return nil as ExitRecord? }
                try await connection.send(.reap)
                return record
            }
        }
        let clock = self.clock
        let limit = self.configuration.stopTimeout
        let guardian = _Concurrency.Task {
            try await clock.sleep(for: limit)
            stopping.cancel()
        }
        let result = await stopping.result
        guardian.cancel()
        if case .success(.some) = result { return }
        self.logger.error("an agent could not be proved gone after its stop", metadata: self.metadata)
    }

    /// Lets the shim of an ended program go; what is recorded stays on disk.
    package func release() async {
        let directory = self.task.directory
        guard let bytes = directory.read(ShimFiles.launch, generation: self.generation),
            let spec = try? LaunchSpec(decoding: bytes)
        else { return }
        let hello = ShimFrame.hello(token: spec.token, epoch: self.task.epoch)
        do {
            _ = try await ShimConnection.with(path: directory.socketPath(self.generation), group: self.group) {
                try await $0.send(hello)
            } receive: { frame, connection in
                guard case .exited = frame else { return nil as Bool? }
                try await connection.send(.reap)
                return true
            }
        } catch {
            return  // it has gone by itself
        }
    }
}

extension AgentDirectory {
    fileprivate func hasView(_ generation: Int, _ view: Int) -> Bool {
        unsafe access(self.viewPath(generation, view), F_OK) == 0
    }
}
