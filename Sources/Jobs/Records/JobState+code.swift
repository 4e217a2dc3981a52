internal import Domain

extension JobState {
    /// The byte for this state in stored records and in the functions' replies.
    var code: UInt8 {
        switch self {
        case .scheduled: UInt8(ascii: "s")
        case .available: UInt8(ascii: "a")
        case .running: UInt8(ascii: "R")
        case .retryable: UInt8(ascii: "r")
        case .completed: UInt8(ascii: "c")
        case .cancelled: UInt8(ascii: "x")
        case .discarded: UInt8(ascii: "d")
        case .unresolved: UInt8(ascii: "u")
        case .lost: UInt8(ascii: "l")
        }
    }

    /// Returns nil for a byte that is not a state code.
    init?(code: UInt8) {
        guard let state = Self.allCases.first(where: { $0.code == code }) else { return nil }
        self = state
    }
}
