/// Names one instance of a child, as a process id does in OTP: a restarted child has a new one.
package struct ChildReference: Hashable, Sendable {
    package let id: String
    /// Counts from 1 for each specification.
    package let instance: Int
    let key: Int
}
