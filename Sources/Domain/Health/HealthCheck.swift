/// The result of one check: one line of a probe's verbose response.
package struct HealthCheck: Hashable, Sendable {
    package let name: String
    package let isHealthy: Bool
    /// What the check found and, when it is not healthy, what to do.
    package let detail: String

    /// Takes the result as given; runs no check.
    package init(_ name: String, isHealthy: Bool, detail: String) {
        self.name = name
        self.isHealthy = isHealthy
        self.detail = detail
    }
}
