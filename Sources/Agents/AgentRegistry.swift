package import CoreMetrics
internal import Domain

/// The agents of this node by state, for metrics and for the security watch.
package actor AgentRegistry {
    private var states: [JobID: AgentState] = [:]
    private var workspaces: [JobID: WorkspaceID] = [:]
    private let gauges: [AgentState: Gauge]

    /// Registers the gauge `orchestra_agents` for every state and records 0 for each.
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
