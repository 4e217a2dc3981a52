/// A workspace in quarantine: it accepts and starts no jobs until a person releases it.
package struct Quarantine: Hashable, Sendable {
    package let workspace: String
    package let reason: String

    /// Takes the parts as given; puts nothing into quarantine.
    package init(workspace: String, reason: String) {
        self.workspace = workspace
        self.reason = reason
    }
}
