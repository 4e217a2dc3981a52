/// Why egress rules cannot be used.
package enum EgressErrorCode: Hashable, Sendable {
    /// An entry has an unknown field, or a field with a malformed value.
    case invalidEntry
    /// Two entries contradict each other.
    case inconsistent
}
