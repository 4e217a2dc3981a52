/// When an ended child is started again (OTP's `restart`).
package enum RestartPolicy: String, Hashable, Sendable, CaseIterable {
    /// Always.
    case permanent
    /// Only after an abnormal end: not after a return, nor after `ChildShutdown`.
    case transient
    /// Never; its specification is forgotten with it.
    case temporary
}
