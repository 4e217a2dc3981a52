package import Agents
package import Domain
package import Jobs
package import Policy
internal import Sandboxing
internal import ShimProtocol

/// Runs the handler of an action, and converts each possible end into an outcome.
package struct ActionHandlers: Sendable {
    private let bundle: PolicyBundle
    private let commands: CommandRunner
    private let agents: AgentRunner
    private let workspaces: String
    private let epoch: UInt64
    private let pause: LaunchPause
    private let copier: WorkspaceCopier?
    private let report: @Sendable (JobProgress, Job) async -> Void

    /// The maximum size of a result in bytes.
    private static let resultLimit = 64 * 1024

    /// `workspaces` is the parent directory of the workspaces' directories, `epoch` the incarnation of the node. `pause`
    /// stops the node's claims when it cannot launch programs. `copier` keeps copies of the workspaces. `report` records the progress that a job reports.
    package init(
        bundle: PolicyBundle, commands: CommandRunner, agents: AgentRunner, workspaces: String, epoch: UInt64,
        pause: LaunchPause, copier: WorkspaceCopier? = nil,
        report: @escaping @Sendable (JobProgress, Job) async -> Void = { _, _ in }
    ) {
        self.report = report
        self.bundle = bundle
        self.commands = commands
        self.agents = agents
        self.workspaces = workspaces
        self.epoch = epoch
        self.pause = pause
        self.copier = copier
    }

    /// Whether a run that an earlier incarnation of the node started can be resumed.
    package func canResume(_ job: JobID) async -> Bool { await self.agents.canTakeBack(job) }

    /// Runs the action. Never throws; a failure is an outcome. Returns soon after its task is cancelled, when the program has
    /// ended. `keep` gets the output of a run that was cut off, as JSON.
    package func run(
        _ job: Job, action: ActionDefinition, params: JSONValue, isRecovered: Bool,
        keep: @Sendable ([UInt8]) async -> Void = { _ in }
    ) async -> Outcome {
        do {
            switch action.handler {
            case .none: return .completed(result: Array("{}".utf8))
            case .command(let argv, let input):
                return try await self.withFiles(of: job.workspace, isRecovered) {
                    try await self.command(job, action, argv, input, params, keep)
                }
            case .agent(let agent, let prompt):
                return try await self.withFiles(of: job.workspace, isRecovered) {
                    try await self.agent(job, action, agent, prompt, params, isRecovered)
                }
            }
        } catch is CancellationError {
            return .cancelled(.drain)
        } catch let error as CommandInterruption {
            await keep(Self.result(of: error.record))
            return .cancelled(.drain)
        } catch let error as AgentInterruption {
            await keep(Self.detail(ofTerminal: error.tail))
            return .cancelled(.drain)
        } catch let error as AgentFailure {
            let detail = Self.detail(ofTerminal: error.tail)
            if error.isCutOff { await keep(detail) }
            return .failed(
                Failure(reason: error.message, isRetryable: true, detail: detail, isCutOff: error.isCutOff))
        } catch let error as HostFileError {
            return await self.notStarted(job, AgentError(error).message)
        } catch let error as AgentError where error.code == .hostUnavailable {
            return await self.notStarted(job, error.message)
        } catch let error as AgentError {
            return .failed(Failure(reason: error.message, isRetryable: true, isCutOff: error.code == .crashed))
        } catch {
            return .failed(Failure(reason: "\(error)", isRetryable: true))
        }
    }

    private func withFiles(
        of workspace: WorkspaceID, _ isRecovered: Bool, _ body: () async throws -> Outcome
    ) async throws -> Outcome {
        guard let copier = self.copier else { return try await body() }
        return try await copier.using(workspace, isResumed: isRecovered, body)
    }

    /// The outcome of a job that this node could not launch for a reason of its own.
    private func notStarted(_ job: Job, _ reason: String) async -> Outcome {
        guard self.pause.launchFailed(job.id, reason) else {
            return .failed(
                Failure(
                    reason: "this node could not launch it again and again: \(reason)",
                    isRetryable: true))
        }
        return .notStarted(reason: reason, hasFiles: await self.hasFiles(job.workspace))
    }

    /// Whether this node has, or may have, files of the workspace. An empty directory is what an earlier attempt to launch
    /// left.
    private func hasFiles(_ workspace: WorkspaceID) async -> Bool {
        let path = self.path(of: workspace)
        do {
            return try await self.agents.configuration.files.run { try HostFiles.names(in: path)?.isEmpty == false }
        } catch {
            // A disk in trouble: they may be there.
            return true
        }
    }

    private static func detail(ofTerminal tail: [UInt8]) -> [UInt8] {
        JSONValue.object([JSONMember("terminal", .string(String(decoding: tail, as: UTF8.self)))]).bytes
    }

    /// Runs a command in its sandbox and reports its progress.
    private func command(
        _ job: Job, _ action: ActionDefinition, _ argv: [String], _ input: ActionDefinition.CommandInput,
        _ params: JSONValue, _ keep: @Sendable ([UInt8]) async -> Void
    ) async throws -> Outcome {
        guard let profile = self.bundle.profiles[action.sandbox] else {
            return .refused(reason: "there is no sandbox profile '\(action.sandbox)'")
        }
        let bytes: [UInt8] =
            switch input {
            case .params: job.params
            case .param(let name): Array((params[name]?.string ?? "").utf8)
            }
        let workspacePath = try await self.workspacePath(job.workspace)
        let secrets = self.agents.configuration.secrets
        let given = try await self.agents.configuration.files.run {
            try secrets.secrets(action.secrets, of: job.workspace)
        }
        // With the request ID another service can detect a repeated effect.
        let environment = [
            "ORCHESTRA_JOB_ID": job.id.description, "ORCHESTRA_REQUEST_ID": job.requestID.description,
        ]
        let (steps, step) = AsyncStream<JobProgress>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let (commands, report) = (self.commands, self.report)
        async let reported: Void = { for await progress in steps { await report(progress, job) } }()
        defer { step.finish() }
        let record = try await commands.run(
            argv, input: bytes, environment: environment,
            secrets: given, profile: profile,
            workspacePath: workspacePath,
            caller: EgressHello(
                workspace: job.workspace, job: job.id, launch: 1, profile: profile.name),
            progress: { step.yield(JobProgress(percent: $0, text: $1)) })
        step.finish()
        self.pause.launched(job.id)
        await reported
        let result = Self.result(of: record)
        if record.isSuccess { return .completed(result: result) }
        if record.isCutOff { await keep(result) }
        return .failed(
            Failure(
                reason: "the command failed: \(record.summary)",
                isRetryable: !action.permanentStatuses.contains(Int(record.code)), detail: result,
                isCutOff: record.isCutOff))
    }

    /// Runs an agent to its end, or resumes it.
    private func agent(
        _ job: Job, _ action: ActionDefinition, _ agentParam: String, _ promptParam: String, _ params: JSONValue,
        _ isRecovered: Bool
    ) async throws -> Outcome {
        let name = params[agentParam]?.string ?? ""
        guard let definition = self.bundle.agents.values.first(where: { $0.name.name == name }) else {
            return .refused(
                reason: "there is no agent '\(Printable.text(name))'; expected the name of a file in Policies/agents")
        }
        guard let profile = self.bundle.profiles[definition.sandbox] else {
            return .refused(reason: "there is no sandbox profile '\(definition.sandbox)'")
        }
        let result = try await self.agents.run(
            Agent.Assignment(
                directory: AgentDirectory(root: self.agents.configuration.root, id: job.id), definition: definition,
                profile: profile, workspacePath: try await self.workspacePath(job.workspace), workspace: job.workspace,
                prompt: params[promptParam]?.string ?? "", isRecovered: isRecovered, epoch: self.epoch,
                isRepeatable: action.mayRepeat(job)),
            of: job.workspace)
        self.pause.launched(job.id)
        var members = [
            JSONMember("exit_status", .integer(Int64(result.record.code))),
            JSONMember("launches", .integer(Int64(result.launches))),
            JSONMember("log_bytes", .integer(Int64(clamping: result.record.logLength))),
            JSONMember("terminal", .string(String(decoding: result.tail, as: UTF8.self))),
        ]
        if let directory = result.directory {
            members.append(JSONMember("directory", .string("agents/\(job.id)")))
            members.append(JSONMember("directory_state", .string(directory)))
        }
        return .completed(result: JSONValue.object(members).bytes)
    }

    private func path(of workspace: WorkspaceID) -> String { "\(self.workspaces)/\(workspace)" }

    /// The path of the workspace's directory. Makes it with mode 0700 if it does not exist; throws `HostFileError` when
    /// that fails.
    private func workspacePath(_ workspace: WorkspaceID) async throws -> String {
        let path = self.path(of: workspace)
        try await self.agents.configuration.files.run { try HostFiles.makeDirectory(path) }
        return path
    }

    /// The JSON that a command which succeeded wrote to its result descriptor. Otherwise, and without such JSON, its outputs
    /// and exit status, with the JSON as a member.
    private static func result(of record: ExitRecord) -> [UInt8] {
        let (value, problem) = self.written(record.result)
        if value != nil, record.isSuccess { return record.result }
        var members = [
            JSONMember("exit_status", .integer(Int64(record.code))),
            JSONMember("stdout", .string(String(decoding: record.output, as: UTF8.self))),
            JSONMember("stderr", .string(String(decoding: record.errorOutput, as: UTF8.self))),
        ]
        // The shim keeps the beginning and the end of each, and says between them how much is left out.
        if record.outputLeftOut > 0 || record.errorOutputLeftOut > 0 {
            members.append(JSONMember("truncated", true))
            members.append(JSONMember("stdout_left_out", .integer(Int64(clamping: record.outputLeftOut))))
            members.append(JSONMember("stderr_left_out", .integer(Int64(clamping: record.errorOutputLeftOut))))
        }
        if record.endedBy != .itself { members.append(JSONMember("ended_by", .string("\(record.endedBy)"))) }
        if record.signal != 0 { members.append(JSONMember("signal", .integer(Int64(record.signal)))) }
        if record.memoryKills > 0 {
            members.append(JSONMember("memory_limit_kills", .integer(Int64(record.memoryKills))))
        }
        if let problem { members.append(JSONMember("result_refused", .string(problem))) }
        if let value { members.append(JSONMember("result", value)) }
        return JSONValue.object(members).bytes
    }

    /// What a command wrote to its result descriptor, or why that is refused; neither when it wrote nothing.
    private static func written(_ result: [UInt8]) -> (value: JSONValue?, problem: String?) {
        guard !result.isEmpty else { return (nil, nil) }
        do {
            let value = try JSONParser.parse(result)
            return result.count > self.resultLimit ? (nil, self.tooLong) : (value, nil)
        } catch {
            // The shim keeps no more than the limit, so a malformed result of that size is the start of a longer one.
            return (nil, result.count >= self.resultLimit ? self.tooLong : "it is not JSON")
        }
    }

    private static let tooLong = "it is longer than \(resultLimit) bytes"
}
