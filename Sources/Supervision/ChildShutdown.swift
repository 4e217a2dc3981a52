/// Thrown by a child that ends on purpose, as `exit(shutdown)` and `exit({shutdown, Detail})` do: a permanent
/// child is restarted, a transient one is not.
package struct ChildShutdown: Error, Hashable {
    package let detail: String?

    /// Takes the detail as given; nil for a shutdown without one.
    package init(_ detail: String? = nil) { self.detail = detail }
}
