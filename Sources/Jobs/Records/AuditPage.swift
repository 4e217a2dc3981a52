/// A page of the audit trail.
package struct AuditPage: Hashable, Sendable {
    /// The stored lines, newest first.
    package let events: [[UInt8]]
    /// The cursor of the next page; nil when there is none.
    package let next: String?

    /// Takes the parts as given.
    package init(events: [[UInt8]], next: String?) {
        self.events = events
        self.next = next
    }
}
