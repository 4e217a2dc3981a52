package import Domain
internal import Logging
package import NIOPosix
internal import Sandboxing
package import ShimProtocol
package import Supervision

/// Runs an agent to its end under a supervisor of its own: restarts with backoff, then gives up.
package struct AgentRunner: Sendable {
    /// The result of an agent that ran to its end.
    package struct Result: Hashable, Sendable {
        package let record: ExitRecord
        /// The last bytes of its terminal, as it wrote them.
        package let tail: [UInt8]
        package let launches: Int
        /// What became of its working directory, where it had one of its own.
        package let directory: String?
    }

    package let configuration: AgentConfiguration
    private let group: MultiThreadedEventLoopGroup
    private let environment: SupervisionEnvironment
    private let commands: CommandRunner
    private let supervisors: AgentSupervisors
    private let registry: AgentRegistry
    private let token: @Sendable () throws -> [UInt8]

    private static let tailLimit = 16 * 1024

    /// `commands` prepares what an agent finds; `supervisors` holds the supervisor that each agent's own one runs under;
    /// `token` makes 32 random bytes.
    package init(
        configuration: AgentConfiguration, commands: CommandRunner, group: MultiThreadedEventLoopGroup,
        environment: SupervisionEnvironment,
        supervisors: AgentSupervisors, census: AgentRegistry, token: @escaping @Sendable () throws -> [UInt8]
    ) {
        self.configuration = configuration
        self.group = group
        self.environment = environment
        self.commands = commands
        self.supervisors = supervisors
        self.registry = census
        self.token = token
    }

    /// Runs until the agent ends with success. Throws `AgentFailure`, with its last output, when its restart budget is
    /// spent; `AgentError.hostUnavailable` when this node cannot launch it and the job is not at fault; and, after the
    /// agent was ended, `AgentInterruption` with its last output when the task is canceled or the agents' supervisor is
    /// stopped. `workspace` names it in the tree.
    package func run(_ assignment: Agent.Assignment, of workspace: WorkspaceID) async throws -> Result {
        let place = WorkingDirectory(
            definition: assignment.definition.directory, agent: assignment.directory.id, commands: self.commands,
            logger: self.environment.logger)
        try await self.prepare(place, for: assignment)
        let (registry, id) = (self.registry, assignment.directory.id)
        let agent = Agent(
            assignment, configuration: self.configuration, group: self.group, logger: self.environment.logger,
            token: self.token, report: { await registry.set($0, of: id) })
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await self.run(agent, assignment, of: workspace))
        } catch {
            result = .failure(error)
        }
        let kept = await self.cleanUp(place, after: agent, assignment)
        let ended = try result.get()
        return Result(record: ended.record, tail: ended.tail, launches: ended.launches, directory: kept)
    }

    /// Makes the agent's working directory, unless an agent that may be taken back has it already, or has removed it.
    private func prepare(_ place: WorkingDirectory, for assignment: Agent.Assignment) async throws {
        do {
            let isLaunched = try await self.configuration.files.run { try !assignment.directory.generations.isEmpty }
            guard !assignment.isRecovered || !isLaunched else { return }
            try await place.prepare(profile: assignment.profile, workspacePath: assignment.workspacePath)
        } catch is HostFileError where assignment.isRecovered {
            // It may live; the run itself finds out, and launches nothing before it has.
            return
        } catch let error as HostFileError {
            throw AgentError(error)
        } catch let error as AgentError where error.code != .hostUnavailable {
            throw AgentFailure(message: error.message, tail: [], isCutOff: false)
        }
    }

    /// Removes what holds nothing more to keep. Says what became of the working directory, nil where there is none.
    private func cleanUp(_ place: WorkingDirectory, after agent: Agent, _ assignment: Agent.Assignment) async -> String?
    {
        let result: String?
        if await agent.mayLive {
            result = assignment.definition.directory == .shared ? nil : "kept: its agent may live"
        } else {
            // Also after a cancellation the next agent must find an orderly workspace.
            result = await withoutCancellation {
                await place.cleanUp(profile: assignment.profile, workspacePath: assignment.workspacePath)
            }
        }
        if let result {
            self.environment.logger.info(
                "an agent's working directory was cleaned up",
                metadata: ["agent.id": "\(assignment.directory.id)", "directory": "\(result)"])
        }
        return result
    }

    private func run(_ agent: Agent, _ assignment: Agent.Assignment, of workspace: WorkspaceID) async throws -> Result {
        let id = assignment.directory.id
        let last = OneShot<Swift.Result<ExitRecord, any Error>>()
        let supervisor = try Supervisor(
            Supervisor.Configuration(
                name: "agent \(id)", intensity: assignment.definition.restartIntensity,
                period: assignment.definition.restartPeriod, autoShutdown: .anySignificant),
            children: [self.launches(of: agent, isRepeatable: assignment.isRepeatable, last)],
            environment: self.environment)
        await self.registry.add(id, of: workspace)
        let outcome = await self.supervise(supervisor, named: "\(workspace)/\(id)")
        await self.registry.remove(id)
        let launches = await agent.currentGeneration
        let tail = await self.tail(assignment.directory, launches)
        // A success that came before the cancellation counts: its effects are there.
        if case .success(let record) = await last.current {
            return Result(record: record, tail: tail, launches: launches, directory: nil)
        }
        if Task.isCancelled { throw AgentInterruption(tail: tail) }
        let failure: AgentError? =
            if case .failure(let error as AgentError)? = await last.current { error } else { nil }
        if let failure, failure.code == .hostUnavailable { throw failure }
        let isCutOff = failure?.code == .crashed || failure?.code == .notGone
        if case .failure(let error) = outcome {
            await self.note(AgentStatus(state: .quarantined, evidence: "\(error)"), in: assignment.directory)
            throw AgentFailure(message: "\(error)", tail: tail, isCutOff: isCutOff)
        }
        guard case .failure(let error)? = await last.current, !(error is CancellationError) else {
            throw AgentInterruption(tail: tail)
        }
        throw AgentFailure(message: "\(error)", tail: tail, isCutOff: isCutOff)
    }

    /// The last bytes of a launch's terminal; none, with a line in the log, when they cannot be read: the outcome of a run
    /// must not depend on its evidence. Evidence counts most after a cancellation.
    private func tail(_ directory: AgentDirectory, _ launch: Int) async -> [UInt8] {
        let files = self.configuration.files
        do {
            return try await withoutCancellation { () async throws -> [UInt8] in
                try await files.run { try directory.logTail(launch, limit: Self.tailLimit) }
            }
        } catch {
            self.environment.logger.warning(
                "an agent's log could not be read", error: error, metadata: ["agent.id": "\(directory.id)"])
            return []
        }
    }

    private func note(_ status: AgentStatus, in directory: AgentDirectory) async {
        do {
            try await self.configuration.files.run { try directory.note(status) }
        } catch {
            self.environment.logger.warning(
                "an agent's state could not be noted", error: error, metadata: ["agent.id": "\(directory.id)"])
        }
    }

    /// The agent's launches, each an instance of one child.
    private func launches(
        of agent: Agent, isRepeatable: Bool, _ last: OneShot<Swift.Result<ExitRecord, any Error>>
    ) -> ChildSpecification {
        ChildSpecification(
            id: "launch", restart: .transient, shutdown: .timeout(self.configuration.stopTimeout + .seconds(5)),
            isSignificant: true,
            backoff: RestartBackoff(first: .milliseconds(200), longest: .seconds(30), resetAfter: .seconds(600))
        ) { child in
            do {
                await last.set(.success(try await agent.run(ready: { child.ready() })))
            } catch {
                await last.set(.failure(error))
                guard let error = error as? AgentError else { throw error }
                switch error.code {
                // Another owner's agent is not ours to restart, none is started next to one that may live, and what this
                // node cannot launch another one can.
                case .replaced, .launchFailed, .notGone, .hostUnavailable: return
                // What may have taken effect is a person's to decide, and another launch is another run.
                case .crashed where !isRepeatable, .failed where !isRepeatable: return
                case .crashed, .failed: throw error
                }
            }
        }
    }

    /// Runs the agent's supervisor under the node's and waits for its end, also when the task is canceled: the agent must
    /// be gone before the caller goes on.
    private func supervise(_ supervisor: Supervisor, named name: String) async -> Swift.Result<Void, any Error> {
        let end = OneShot<Swift.Result<Void, any Error>>()
        do {
            try await self.supervisors.start(supervisor, named: name) { await end.set($0) }
        } catch {
            return .failure(error)
        }
        return await withTaskCancellationHandler {
            await end.value
        } onCancel: {
            supervisor.stop()
        }
    }

    /// True when the agent's last launch still lives here or has ended by itself: it is taken back, not run again. True
    /// also when that cannot be read: the run finds out, and starts nothing before it has.
    package func canTakeBack(_ id: JobID) async -> Bool {
        let directory = AgentDirectory(root: self.configuration.root, id: id)
        do {
            return try await self.configuration.files.run {
                guard let last = try directory.generations.last else { return false }
                return try directory.isAlive(last) || directory.exitRecord(last)?.endedBy == .itself
            }
        } catch {
            self.environment.logger.warning(
                "whether an agent lives could not be read", error: error, metadata: ["agent.id": "\(id)"])
            return true
        }
    }
}
