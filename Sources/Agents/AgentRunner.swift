internal import Logging
package import CoreMetrics
package import Domain
package import NIOPosix
package import ShimProtocol
package import Supervision

/// Runs an agent to its end under a supervisor of its own: restarts with backoff, then gives up.
package struct AgentRunner: Sendable {
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
    private let census: AgentRegistry
    private let token: @Sendable () throws -> [UInt8]

    private static let tailLimit = 16 * 1024

    /// `commands` prepares what an agent finds; `supervisors` holds the supervisor that each agent's own one runs under.
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
        self.census = census
        self.token = token
    }

    /// Runs until the agent ends with success. Throws `AgentFailure`, with its last output, when its restart
    /// budget is spent; when the task is cancelled, or the agents' supervisor is stopped, the agent is ended
    /// first and `CancellationError` thrown. `workspace` names it in the tree.
    package func run(_ task: Agent.Task, of workspace: WorkspaceID) async throws -> Result {
        let place = WorkingDirectory(
            definition: task.definition.directory, agent: task.directory.id, commands: self.commands,
            logger: self.environment.logger)
        // One that may be taken back has its place already, or has taken it away.
        if !task.isRecovered || task.directory.generations.isEmpty {
            do {
                try await place.prepare(profile: task.profile, workspacePath: task.workspacePath)
            } catch let error as AgentError {
                throw AgentFailure(message: error.message, tail: [], isCutOff: false)
            }
        }
        let census = self.census
        let id = task.directory.id
        let agent = Agent(
            task, configuration: self.configuration, group: self.group, logger: self.environment.logger,
            token: self.token, report: { await census.set($0, of: id) })
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await self.run(agent, task, of: workspace))
        } catch {
            result = .failure(error)
        }
        var cleanupResult: String?
        if await agent.mayLive {
            cleanupResult = task.definition.directory == .shared ? nil : "kept: its agent may live"
        } else {
            // A shield: also after a cancellation the next agent must find an orderly workspace.
            cleanupResult = await Task { await place.cleanUp(profile: task.profile, workspacePath: task.workspacePath) }.value
        }
        if let cleanupResult {
            self.environment.logger.info(
                "an agent's working directory was looked at",
                metadata: ["agent.id": "\(task.directory.id)", "directory": "\(cleanupResult)"])
        }
        let ended = try result.get()
        return Result(record: ended.record, tail: ended.tail, launches: ended.launches, directory: cleanupResult)
    }

    private func run(_ agent: Agent, _ task: Agent.Task, of workspace: WorkspaceID) async throws -> Result {
        let census = self.census
        let id = task.directory.id
        let last = OneShot<Swift.Result<ExitRecord, any Error>>()
        let supervisor = try Supervisor(
            Supervisor.Configuration(
                name: "agent \(id)", intensity: task.definition.restartIntensity,
                period: task.definition.restartPeriod, autoShutdown: .anySignificant),
            children: [self.launches(of: agent, isRepeatable: task.isRepeatable, last)], environment: self.environment)
        await census.add(id, of: workspace)
        let outcome = await self.supervise(supervisor, named: "\(workspace)/\(id)")
        await census.remove(id)
        let launches = await agent.currentGeneration
        let tail = task.directory.logTail(launches, limit: Self.tailLimit)
        // A success that came before the cancellation counts: its effects are there.
        if case .success(let record) = await last.current {
            return Result(record: record, tail: tail, launches: launches, directory: nil)
        }
        try Task.checkCancellation()
        if case .failure(let error) = outcome {
            task.directory.note(AgentStatus(state: .quarantined, evidence: "\(error)"))
            throw AgentFailure(message: "\(error)", tail: tail, isCutOff: Self.isCutOff(await last.current))
        }
        guard case .failure(let error) = await last.current, !(error is CancellationError) else {
            throw CancellationError()
        }
        throw AgentFailure(message: "\(error)", tail: tail, isCutOff: Self.isCutOff(await last.current))
    }

    private static func isCutOff(_ last: Swift.Result<ExitRecord, any Error>?) -> Bool {
        guard case .failure(let error as AgentError)? = last else { return false }
        return error.code == .crashed || error.code == .notGone
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
                // Another owner's agent is not ours to restart, and none is started beside one that may live.
                case .replaced, .launchFailed, .notGone: return
                // What may have taken effect is a person's to decide.
                case .crashed where !isRepeatable: return
                case .crashed, .failed: throw error
                }
            }
        }
    }

    /// Runs the agent's supervisor under the node's and waits for its end, also when the task is cancelled: the
    /// agent must be gone before the caller goes on.
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

    /// True when the agent's last launch still lives here or has ended by itself: it is taken back, not run again.
    package func canTakeBack(_ id: JobID) -> Bool {
        let directory = AgentDirectory(root: self.configuration.root, id: id)
        guard let last = directory.generations.last else { return false }
        return directory.isAlive(last) || directory.exitRecord(last)?.endedBy == .itself
    }
}

/// An agent that was given up on, with what it showed last.
package struct AgentFailure: Error, Sendable, CustomStringConvertible {
    package let message: String
    package let tail: [UInt8]
    /// Its last launch was ended from outside.
    package let isCutOff: Bool

    package var description: String { self.message }
}

/// A value that is set some time, kept, and can be waited for; the wait heeds no cancellation.
private actor OneShot<Value: Sendable> {
    private(set) var current: Value?
    private var waiters: [CheckedContinuation<Value, Never>] = []

    func set(_ value: Value) {
        self.current = value
        let waiters = self.waiters
        self.waiters = []
        for waiter in waiters { waiter.resume(returning: value) }
    }

    var value: Value {
        get async {
            if let current = self.current { return current }
            return await withCheckedContinuation { self.waiters.append($0) }
        }
    }
}

/// Knows the agents of this node by state, for metrics and for the watch.
package actor AgentRegistry {
    private var states: [JobID: AgentState] = [:]
    private var workspaces: [JobID: WorkspaceID] = [:]
    private let gauges: [AgentState: Gauge]

    package init(metrics: any MetricsFactory) {
        self.gauges = Dictionary(
            uniqueKeysWithValues: AgentState.allCases.map {
                ($0, Gauge(label: "orchestra_agents", dimensions: [("state", $0.rawValue)], factory: metrics))
            })
        for gauge in self.gauges.values { gauge.record(0) }
    }

    func set(_ state: AgentState, of id: JobID) {
        self.states[id] = state
        self.publish()
    }

    /// The agents that run now, or are about to.
    package var living: [SecurityScan.RunningAgent] {
        self.workspaces.map { SecurityScan.RunningAgent(id: $0.key, workspace: $0.value) }
    }

    func add(_ id: JobID, of workspace: WorkspaceID) { self.workspaces[id] = workspace }

    func remove(_ id: JobID) {
        self.states[id] = nil
        self.workspaces[id] = nil
        self.publish()
    }

    private func publish() {
        for (state, gauge) in self.gauges { gauge.record(self.states.values.count { $0 == state }) }
    }
}
