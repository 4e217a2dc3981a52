internal import CoreMetrics
internal import Domain
internal import Synchronization

/// Open streams, WebSockets and messages under way, bounded for each workspace and each agent.
package final class StreamQuota: Sendable {
    private struct State {
        var workspaces: [WorkspaceID: Int] = [:]
        var agents: [JobID: Int] = [:]
    }

    private let state = Mutex(State())
    private let limit: Int
    private let agentLimit: Int
    private let gauge: Gauge

    init(limit: Int, agentLimit: Int, metrics: any MetricsFactory) {
        self.limit = limit
        self.agentLimit = agentLimit
        self.gauge = Gauge(label: "orchestra_api_streams", factory: metrics)
    }

    /// A place that is given back when nobody holds the ticket any more; nil when there is none.
    func enter(_ workspace: WorkspaceID, _ agent: JobID) -> StreamTicket? {
        let isTaken = self.state.withLock { state in
            guard state.workspaces[workspace, default: 0] < self.limit,
                state.agents[agent, default: 0] < self.agentLimit
            else { return false }
            state.workspaces[workspace, default: 0] += 1
            state.agents[agent, default: 0] += 1
            self.gauge.record(state.workspaces.values.reduce(0, +))
            return true
        }
        return isTaken ? StreamTicket(census: self, workspace: workspace, agent: agent) : nil
    }

    fileprivate func leave(_ workspace: WorkspaceID, _ agent: JobID) {
        self.state.withLock { state in
            state.workspaces[workspace, default: 1] -= 1
            state.agents[agent, default: 1] -= 1
            if state.workspaces[workspace] == 0 { state.workspaces[workspace] = nil }
            if state.agents[agent] == 0 { state.agents[agent] = nil }
            self.gauge.record(state.workspaces.values.reduce(0, +))
        }
    }
}

/// A place in the census, held for as long as this lives: whatever becomes of an answer, it comes back.
final class StreamTicket: Sendable {
    private let census: StreamQuota
    private let workspace: WorkspaceID
    private let agent: JobID

    fileprivate init(census: StreamQuota, workspace: WorkspaceID, agent: JobID) {
        self.census = census
        self.workspace = workspace
        self.agent = agent
    }

    deinit { self.census.leave(self.workspace, self.agent) }
}
