internal import Domain

/// An event of an audit trail with the place that it has in Redis, which no other event has.
package struct ArchivedEvent: Hashable, Sendable {
    /// The number of the lane.
    package let lane: Int
    /// The workspace; empty for the trail of the lane, which has the events of no workspace.
    package let trail: String
    /// The ID of the stream entry, as Redis gives it.
    package let id: String
    /// The event's index within the entry.
    package let number: Int
    /// The event as it was stored.
    package let bytes: [UInt8]

    /// Takes the parts as given.
    package init(lane: Int, trail: String, id: String, number: Int, bytes: [UInt8]) {
        self.lane = lane
        self.trail = trail
        self.id = id
        self.number = number
        self.bytes = bytes
    }

    /// The place as it is in a row; two events with one place are the same event.
    var place: String {
        var writer = JSONWriter()
        writer.raw("\"lane\":\(self.lane),\"trail\":")
        writer.write(text: self.trail)
        writer.raw(",\"id\":")
        writer.write(text: self.id)
        writer.raw(",\"n\":\(self.number)")
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
