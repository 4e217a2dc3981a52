import Testing

/// The two implementations of `JobQueue`, which must give the same replies.
enum Implementation: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case redis
    case memory

    var testDescription: String { self.rawValue }
}
