/// Within a workspace the more urgent runs first; between workspaces it says nothing.
package enum Priority: Int, Hashable, Sendable, CaseIterable, Comparable {
    case high = 1
    case normal = 2
    case low = 3

    /// The more urgent is the smaller.
    package static func < (left: Priority, right: Priority) -> Bool { left.rawValue < right.rawValue }
}
