package import Domain

/// The archive of the audit trail cannot be written or read.
package typealias ArchiveError = CodedError<ArchiveErrorCode>

/// Why the archive cannot be used.
package enum ArchiveErrorCode: Hashable, Sendable {
    /// A file or directory cannot be read or written; what was archived before is unchanged.
    case storage
    /// The archive does not continue from its signed head; nothing was changed, and a person must look.
    case damaged
    /// The signing key is not the one that signed the archive's head.
    case wrongKey
}
