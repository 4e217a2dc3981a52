/// The result of requeueing or dropping a dead letter. The raw values are the replies of the functions.
package enum DeadLetterResult: Int, Hashable, Sendable {
    /// There is no such dead letter.
    case absent = 0
    case done = 1
    /// The job is unresolved and needs a decision first; nothing was changed.
    case isUnresolved = 2
    /// Another job has its unique key now; nothing was changed.
    case isTaken = 3
}
