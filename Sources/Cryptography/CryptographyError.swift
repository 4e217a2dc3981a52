package import Domain

/// The system's OpenSSL refused an operation; the message never contains key material.
package typealias CryptographyError = CodedError<CryptographyErrorCode>

/// Why an operation of OpenSSL failed.
package enum CryptographyErrorCode: Hashable, Sendable {
    /// The bytes were changed, moved, or sealed with another key.
    case authenticationFailed
    /// A key, nonce or message has an impossible size.
    case invalidSize
    /// OpenSSL itself reported an error; nothing was produced.
    case libraryFailure
}
