internal import Domain

/// Why a row does not continue its chain.
package enum ChainFault: Error, Hashable, Sendable {
    /// The row is not one that an archive has.
    case malformed
    /// The row has another sequence number.
    case sequence(expected: UInt64, found: UInt64)
    /// The row states another digest of the row before.
    case link
    /// The signature of a checkpoint does not hold.
    case checkpoint
    /// A row that introduces a key is not signed by the key before and by its own.
    case key
    /// OpenSSL failed.
    case library(String)

    /// A sentence without a full stop.
    package var reason: String {
        switch self {
        case .malformed: "the row is malformed"
        case .sequence(let expected, let found) where found > expected:
            "expected row \(expected), found row \(found): rows are missing or in another order"
        case .sequence(let expected, let found):
            "expected row \(expected), found row \(found): rows are repeated or in another order"
        case .link: "the row does not follow from the one before"
        case .checkpoint: "the signature of the checkpoint does not hold"
        case .key: "the row introduces a key without the signatures of the key before and of its own"
        case .library(let message): message
        }
    }
}
