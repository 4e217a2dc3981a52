internal import Domain

/// What the queue answers to a node that archives the audit trails of a lane.
package struct TrailBatch: Hashable, Sendable {
    /// An entry of a trail.
    package struct Entry: Hashable, Sendable {
        /// The workspace; empty for the events of no workspace.
        package let trail: String
        /// The entry's ID as Redis gives it.
        package let id: String
        /// The events of the entry, in their order.
        package let events: [[UInt8]]

        /// When Redis stored it, in milliseconds since the epoch; nil when a client chose an ID that is no time.
        package var time: UInt64? { EntryID(text: Array(self.id.utf8)[...])?.milliseconds }
    }

    /// How far a trail is archived.
    package struct Note: Hashable, Sendable {
        /// The workspace; empty for the events of no workspace.
        package let trail: String
        /// The last entry that is archived.
        package var id: String
        /// How many entries this adds to those that were archived before.
        package var count: Int

        /// Takes the parts as given.
        package init(trail: String, id: String, count: Int) {
            self.trail = trail
            self.id = id
            self.count = count
        }
    }

    /// The node that archives this lane, when it is another one: nothing was noted and nothing is returned then.
    package let other: String?
    /// How many entries the trails ever had, since Redis was emptied.
    package let written: Int
    /// How many of them are noted as archived.
    package let archived: Int
    /// The index of the trail to continue with; nil when all were read to their ends.
    package let next: Int?
    package let entries: [Entry]
}
