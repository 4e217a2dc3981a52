package import CoreMetrics
package import Domain
package import Logging
package import NIOPosix
package import ShimProtocol
internal import Supervision

/// Runs an agent to its end under a supervisor of its own: restarts with backoff, then gives up.
package struct AgentRunner: Sendable {
    package struct Result: Hashable, Sendable {
        package let record: ExitRecord
        /// The last bytes of its terminal, as it wrote them.
        package let tail: [UInt8]
        package let launches: Int
    }

    package let configuration: AgentConfiguration
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger
    private let metrics: any MetricsFactory
    private let census: AgentCensus
    private let token: @Sendable () throws -> [UInt8]

    private static let tailLimit = 16 * 1024

    package init(
        configuration: AgentConfiguration, group: MultiThreadedEventLoopGroup, logger: Logger,
        metrics: any MetricsFactory, census: AgentCensus, token: @escaping @Sendable () throws -> [UInt8]
    ) {
        self.configuration = configuration
        self.group = group
        self.logger = logger
        self.metrics = metrics
        self.census = census
        self.token = token
    }

    /// Runs until the agent ends with success. Throws `AgentError.failed` when its restart budget is spent,
    /// with its last output in `AgentFailure`; when the task is cancelled the agent is ended first.
    package func run(_ task: Agent.Task) async throws -> Result {
        let census = self.census
        let id = task.directory.id
        let agent = Agent(
            task, configuration: self.configuration, group: self.group, logger: self.logger, token: self.token,
            report: { await census.set($0, of: id) })
        let ended = EndBox()
        let child = ChildSpecification(
            id: "launch", restart: .transient, shutdown: .timeout(self.configuration.stopTimeout + .seconds(5)),
            isSignificant: true,
            backoff: RestartBackoff(first: .milliseconds(200), longest: .seconds(30), resetAfter: .seconds(600))
        ) { ready in
            do {
                await ended.set(.success(try await agent.run(ready: ready)))
            } catch {
                await ended.set(.failure(error))
                // Another owner's agent is not ours to restart.
                if let error = error as? AgentError, error.code == .replaced || error.code == .launchFailed { return }
                throw error
            }
        }
        let supervisor = try Supervisor(
            Supervisor.Configuration(
                name: "agent \(id)", intensity: task.definition.restartIntensity,
                period: task.definition.restartPeriod, autoShutdown: .anySignificant),
            children: [child], logger: self.logger, metrics: self.metrics)
        let outcome: Swift.Result<Void, any Error>
        do {
            outcome = .success(try await supervisor.run())
        } catch {
            outcome = .failure(error)
        }
        await census.remove(id)
        let launches = await agent.currentGeneration
        let tail = task.directory.logTail(launches, limit: Self.tailLimit)
        try Task.checkCancellation()
        if case .failure(let error) = outcome { throw AgentFailure(message: "\(error)", tail: tail) }
        switch await ended.value {
        case .success(let record): return Result(record: record, tail: tail, launches: launches)
        case .failure(let error): throw AgentFailure(message: "\(error)", tail: tail)
        case nil: throw AgentFailure(message: "the agent was not started", tail: tail)
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

    package var description: String { self.message }
}

/// How the last launch ended.
private actor EndBox {
    private(set) var value: Result<ExitRecord, any Error>?

    func set(_ value: Result<ExitRecord, any Error>) { self.value = value }
}

/// Counts the agents of this node by state, for metrics.
package actor AgentCensus {
    private var states: [JobID: AgentState] = [:]
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

    func remove(_ id: JobID) {
        self.states[id] = nil
        self.publish()
    }

    private func publish() {
        for (state, gauge) in self.gauges { gauge.record(self.states.values.count { $0 == state }) }
    }
}
