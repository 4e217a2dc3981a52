package import Domain
internal import Jobs
internal import Supervision

extension Node {
    /// The data of `orchestra status`: checks, restarts and the supervision tree, as one JSON object.
    package var status: JSONValue {
        get async {
            let checks = await self.readiness()
            let tree = await self.tree
            return [
                "node": .string(self.name), "is_ready": .bool(checks.allSatisfy(\.isHealthy)),
                "checks": .array(
                    checks.map {
                        ["name": .string($0.name), "is_healthy": .bool($0.isHealthy), "detail": .string($0.detail)]
                    }), "restarts_last_minute": .integer(Int64(self.restartsLastMinute)),
                "tree": tree.map(\.json) ?? .null,
            ]
        }
    }
}

extension SupervisionTree {
    fileprivate var json: JSONValue {
        [
            "supervisor": .string(self.name), "strategy": .string(self.strategy.rawValue),
            "intensity": .integer(Int64(self.intensity)), "period_ms": .integer(self.period.milliseconds),
            "recent_restarts": .integer(Int64(self.recentRestarts)), "children": .array(self.branches.map(\.json)),
        ]
    }
}

extension SupervisionTree.Branch {
    fileprivate var json: JSONValue {
        let status = self.status
        return [
            "id": .string(status.id), "type": .string(status.type.rawValue), "state": .string(status.state.rawValue),
            "restarts": .integer(Int64(status.restarts)),
            "uptime_ms": status.uptime.map { .integer($0.milliseconds) } ?? .null,
            "last_reason": status.lastReason.map { .string($0) } ?? .null,
            "waits_for": status.dependency.map { .string($0) } ?? .null, "tree": self.tree.map(\.json) ?? .null,
        ]
    }
}
