/// OTP's `count_children`.
package struct ChildCounts: Hashable, Sendable {
    package let specifications: Int
    package let active: Int
    package let supervisors: Int
    package let workers: Int
}
