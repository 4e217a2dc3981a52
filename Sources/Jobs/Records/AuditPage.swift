internal import Domain

/// A page of the audit trail.
package struct AuditPage: Hashable, Sendable {
    /// The stored lines, newest first.
    package let events: [[UInt8]]
    /// The cursor of the next page; nil when there is none.
    package let next: String?

    /// How many entries are read for one page.
    static let depth = 5000
    /// How many entries are read per command.
    static let chunk = 500

    /// Returns whether a stored line belongs to this workspace.
    static func holds(_ event: [UInt8], _ workspace: WorkspaceID) -> Bool {
        // A line that is not JSON names no workspace, so it is shown to none. One damaged line must not make the trail of
        // every workspace unreadable; the archive keeps all lines as they are.
        JSONValue(ifValid: event)?["workspace"]?.string == workspace.name
    }
}
