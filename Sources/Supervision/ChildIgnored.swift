/// Thrown by a child before it is ready when it is not to run, which is no failure (OTP's `ignore`).
package struct ChildIgnored: Error, Hashable {
    /// Has no parts.
    package init() {}
}
