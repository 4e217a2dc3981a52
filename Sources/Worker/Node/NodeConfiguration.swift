package import Agents
package import Domain
package import Redis

/// What one node needs to know to run.
package struct NodeConfiguration: Sendable {
    package var node: NodeID
    /// Tells two machines with one node name apart.
    package var owner: String
    package var redis: RedisConfiguration
    /// Jobs held at once, running or about to.
    package var slots: Int
    /// Jobs of one workspace that run at once.
    package var workspaceConcurrency: Int
    /// How long running jobs may take to finish when the node stops.
    package var grace: Duration
    package var agents: AgentConfiguration
    /// Restarts within a minute, over all supervisors of the node, its agents' included, beyond which the node takes
    /// no more work. A node that is well has none in a day, and five agents that crash as fast as their backoff lets
    /// them stay below the default.
    package var stormLimit: Int
    /// What the watch does about an incident.
    package var response: SecurityWatch.Response

    package init(
        node: NodeID, owner: String, redis: RedisConfiguration, slots: Int, workspaceConcurrency: Int, grace: Duration, agents: AgentConfiguration, stormLimit: Int = 60,
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
