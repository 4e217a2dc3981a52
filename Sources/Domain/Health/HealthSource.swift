/// The source of the checks that the probe port reports.
package protocol HealthSource: Sendable {
    /// The checks that fail only when a restart of the process would help.
    func liveness() async -> [HealthCheck]
    /// The checks that decide whether the node takes work.
    func readiness() async -> [HealthCheck]
    /// The checks that decide whether the node has started.
    func startup() async -> [HealthCheck]
}
