/// What a child is, for counts and defaults (OTP's `type`).
package enum ChildType: String, Hashable, Sendable {
    case worker
    case supervisor
}
