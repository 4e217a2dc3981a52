internal import Agents
package import Domain
internal import Jobs
internal import Redis
internal import Supervision

extension Node: HealthSource {
    /// Checks only that the supervisors respond. Other problems belong to readiness, because a restart of the process
    /// would kill running jobs.
    package func liveness() async -> [HealthCheck] {
        _ = await self.root?.isAtRest
        return [HealthCheck("supervision", isHealthy: true, detail: "the supervisors respond")]
    }

    /// Reports whether the node can claim jobs: sandbox gate, launches, leaked children, Redis and its settings, restarts,
    /// claims, drain.
    package func readiness() async -> [HealthCheck] {
        let redis = await self.redisCheck
        let problem = await self.problem
        let hasJoined = await self.hasJoined
        var problems: [String] = []
        for lane in self.lanes { problems += await lane.serverCheck.problems }
        let storm = self.stormGuard.pauseReason
        let leaked = await self.tree?.leaked ?? []
        var checks: [HealthCheck] = []
        if let gate = self.configuration.agents.gate { checks.append(gate.check) }
        return checks + [
            self.launchPause.check,
            HealthCheck(
                "children", isHealthy: leaked.isEmpty,
                detail: leaked.isEmpty
                    ? "no leaked children"
                    : "leaked children: \(leaked.joined(separator: ", ")); restart the node to remove them"),
            redis,
            HealthCheck(
                "redis-settings", isHealthy: problems.isEmpty, detail: problems.first ?? "suitable for storing jobs"),
            HealthCheck("restarts", isHealthy: storm == nil, detail: storm ?? "below the restart limit"),
            HealthCheck(
                "claims", isHealthy: hasJoined && problem == nil,
                detail: problem ?? (hasJoined ? "the node fetches jobs" : "the node has not joined the queue yet")),
            HealthCheck(
                "drain", isHealthy: !self.isDraining,
                detail: self.isDraining ? "the node is stopping and claims no jobs" : "not draining"),
        ]
    }

    /// Reports the first lane that is not connected to Redis.
    private var redisCheck: HealthCheck {
        get async {
            for lane in self.lanes {
                switch await lane.commands.state {
                case .connected: continue
                case .connecting(let reason):
                    return HealthCheck("redis", isHealthy: false, detail: reason ?? "not connected yet")
                case .stopped:
                    return HealthCheck("redis", isHealthy: false, detail: "the connection was closed")
                }
            }
            return HealthCheck("redis", isHealthy: true, detail: self.configuration.redis.displayName)
        }
    }

    /// Reports whether the node has joined the queue.
    package func startup() async -> [HealthCheck] {
        let hasJoined = await self.hasJoined
        return [
            HealthCheck(
                "joined", isHealthy: hasJoined,
                detail: hasJoined ? "the node has joined the queue" : "waiting for a connection to Redis")
        ]
    }
}
