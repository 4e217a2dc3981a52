/// The priority of a job within its workspace. It does not affect the order between workspaces.
package enum Priority: Int, Hashable, Sendable, CaseIterable, Comparable {
    case high = 1
    case normal = 2
    case low = 3

    /// As submitters write it.
    package var name: String {
        switch self {
        case .high: "high"
        case .normal: "normal"
        case .low: "low"
        }
    }

    /// A higher priority has the smaller raw value and sorts first.
    package static func < (left: Priority, right: Priority) -> Bool { left.rawValue < right.rawValue }
}
