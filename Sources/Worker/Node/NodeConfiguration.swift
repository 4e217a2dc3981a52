package import Agents
package import Domain
package import Redis

/// The settings of one node.
package struct NodeConfiguration: Sendable {
    package var node: NodeID
    /// Identifies the machine, to detect two machines with the same node name.
    package var owner: String
    package var redis: RedisConfiguration
    /// The maximum number of jobs that the node holds, running or waiting.
    package var slots: Int
    /// The maximum number of running jobs of one workspace on this node.
    package var workspaceConcurrency: Int
    /// How long a drain waits for running jobs.
    package var grace: Duration
    package var agents: AgentConfiguration
    /// The number of restarts within a minute, over all supervisors of the node including those of agents, above which the
    /// node claims no jobs. A healthy node has none in a day. Five agents that crash as fast as their backoff permits stay
    /// below the default.
    package var stormLimit: Int
    /// The response to an incident.
    package var response: SecurityWatch.Response
    /// The archive of the audit trail; nil for none.
    package var archive: ArchiveConfiguration?
    /// Keeps copies of the workspaces' files; nil for none.
    package var copier: WorkspaceCopier?

    /// Takes the parts as given; by default 60 restarts a minute are allowed, incidents are only reported, the audit trail is
    /// not archived and no files are copied.
    package init(
        node: NodeID, owner: String, redis: RedisConfiguration, slots: Int, workspaceConcurrency: Int, grace: Duration,
        agents: AgentConfiguration, stormLimit: Int = 60,
        response: SecurityWatch.Response = .report
    ) {
        self.response = response
        self.node = node
        self.owner = owner
        self.redis = redis
        self.slots = slots
        self.workspaceConcurrency = workspaceConcurrency
        self.grace = grace
        self.agents = agents
        self.stormLimit = stormLimit
    }
}
