/// Whether the final ends of significant children end the supervisor (OTP's `auto_shutdown`).
package enum AutoShutdown: String, Hashable, Sendable, CaseIterable {
    case never
    /// The own final end of one does.
    case anySignificant
    /// That of the last one does.
    case allSignificant
}
