/// One line of a probe's verbose answer.
package struct HealthCheck: Hashable, Sendable {
    package let name: String
    package let isHealthy: Bool
    /// What was seen, and when it is not healthy what to do.
    package let detail: String

    package init(_ name: String, isHealthy: Bool, detail: String) {
        self.name = name
        self.isHealthy = isHealthy
        self.detail = detail
    }
}

/// What the probe port asks of a node.
package protocol HealthSource: Sendable {
    /// Only what a restart would cure.
    func liveness() async -> [HealthCheck]
    /// Whether the node takes work.
    func readiness() async -> [HealthCheck]
    /// Whether the node has come up.
    func startup() async -> [HealthCheck]
}
