internal import Domain
package import Supervision

/// The supervisor of all agents of a node: simple-one-for-one, one temporary supervisor for each agent. A restart
/// makes a new one, so it is asked for here each time.
package actor AgentSupervisors {
    private let environment: SupervisionEnvironment
    private var current: Supervisor?

    /// Takes the environment as given; no supervisor exists before `child` is started.
    package init(environment: SupervisionEnvironment) { self.environment = environment }

    /// The node's child. Its own budget is never touched: agents are temporary here, and restarts of their
    /// launches count in each agent's own supervisor.
    package nonisolated var child: ChildSpecification {
        ChildSpecification.supervisor(id: "agents", backoff: .subsystem) { try await self.make() }
    }

    private func make() throws -> Supervisor {
        let template = ChildSpecification(
            id: "agent", restart: .temporary, shutdown: .infinity, type: .supervisor, run: { $0.ready() })
        let supervisor = try Supervisor(
            Supervisor.Configuration(name: "agents", strategy: .simpleOneForOne), children: [template],
            environment: self.environment)
        self.current = supervisor
        return supervisor
    }

    /// Starts an agent's supervisor; `ended` is called once it has ended, with its error when it gave up. Throws
    /// `SupervisionError`; then nothing was started and `ended` is not called.
    func start(
        _ agent: Supervisor, named name: String, ended: @escaping @Sendable (Result<Void, any Error>) async -> Void
    ) async throws {
        guard let current = self.current else {
            throw SupervisionError(code: .notRunning, message: "the agents' supervisor does not run")
        }
        try await current.startInstance(named: name) { child in
            do {
                try await agent.run(as: child)
                await ended(.success(()))
            } catch let error as ChildShutdown {
                await ended(.success(()))
                throw error
            } catch {
                await ended(.failure(error))
                throw error
            }
        }
    }
}
