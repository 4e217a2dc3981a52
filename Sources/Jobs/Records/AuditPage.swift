package import Domain

/// A page of the audit trail.
package struct AuditPage: Hashable, Sendable {
    /// The kind of the row that stands for a stored line which cannot be read.
    package static let unreadable: JSONValue = "audit.unreadable"

    /// The stored lines, newest first.
    package let events: [[UInt8]]
    /// The cursor of the next page; nil when there is none.
    package let next: String?

    /// Takes the parts as given.
    package init(events: [[UInt8]], next: String?) {
        self.events = events
        self.next = next
    }

    /// The events as objects, in their order. A line that is not one has a row of the kind `unreadable` with its
    /// beginning: it must not hide the others, nor be left out of them.
    package var rows: [JSONValue] {
        self.events.map { event in
            guard let row = JSONValue(ifValid: event), row.members != nil else {
                let text = Printable.text(String(decoding: event.prefix(1000), as: UTF8.self), limit: 200)
                return [
                    "kind": Self.unreadable,
                    "error_reason": .string("a stored row of \(event.count) bytes is not a JSON object: '\(text)'"),
                ]
            }
            return row
        }
    }
}
