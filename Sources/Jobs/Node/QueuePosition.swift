internal import Domain

/// The last entries that a node has read of the two streams that it listens to.
package struct QueuePosition: Hashable, Sendable {
    /// In the wake-up stream.
    var wakeUp: EntryID
    /// In the stream of requests to nodes.
    var control: EntryID
}
