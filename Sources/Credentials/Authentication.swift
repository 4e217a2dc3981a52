package import Domain

/// The result of checking a credential.
package enum Authentication: Sendable, Hashable {
    case accepted(Principal)
    /// All refused credentials get the same answer; the reason is for the audit trail only.
    case refused(reason: String)
    /// Too many credentials are being checked.
    case busy
    /// Whether the credential is still good is unknown now.
    case unavailable(reason: String)
}
