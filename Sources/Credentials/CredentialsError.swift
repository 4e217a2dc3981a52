package import Domain

/// A credential could not be made, or the issuer's keys could not be read.
package typealias CredentialsError = CodedError<CredentialsErrorCode>

/// Why a credential could not be made or checked.
package enum CredentialsErrorCode: Hashable, Sendable {
    /// Argon2id failed, for lack of memory above all; no hash was made.
    case hashingFailed
    /// The key set or the issuer's document is malformed, too large or holds no usable key.
    case malformedDocument
    /// The URL of the issuer must not be fetched; no connection was tried.
    case refusedURL
    /// The issuer did not answer, or not with a document.
    case unreachable
    /// The value, the hosts or the stored form of a provider's credential is malformed.
    case malformed
    /// There are no keys that may still be used.
    case noKeys
}
