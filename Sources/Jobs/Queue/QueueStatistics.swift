/// Depth, age and counters of the queue.
package struct QueueStatistics: Hashable, Sendable {
    /// Entries that no node has claimed yet.
    package var waiting = 0
    /// The age of the oldest entry.
    package var oldestAge = Duration.zero
    /// Jobs that nodes hold.
    package var running = 0
    /// Jobs that wait for their start or their retry.
    package var delayed = 0
    /// Workspaces with work that wait for their limits.
    package var parked = 0
    /// Requests that were duplicates of an earlier one, since the queue was created.
    package var duplicates = 0
    /// Requests refused at a bound, since the queue was created.
    package var refused = 0
    /// Dead letters evicted at their limit, since the queue was created.
    package var deadLettersEvicted = 0
    /// Entries of ended jobs that were removed unrun, since the queue was created.
    package var refusedEntries = 0
    /// Workspaces with work whose home is away.
    package var stranded = 0

    /// Starts with all numbers at zero.
    package init() {}

    /// Adds the statistics of two lanes; the age is that of the older entry.
    package static func + (left: QueueStatistics, right: QueueStatistics) -> QueueStatistics {
        var sum = left
        sum.waiting += right.waiting
        sum.oldestAge = max(left.oldestAge, right.oldestAge)
        sum.running += right.running
        sum.delayed += right.delayed
        sum.parked += right.parked
        sum.duplicates += right.duplicates
        sum.refused += right.refused
        sum.deadLettersEvicted += right.deadLettersEvicted
        sum.refusedEntries += right.refusedEntries
        sum.stranded += right.stranded
        return sum
    }
}
