/// A node whose lease holds.
package struct LivingNode: Hashable, Sendable {
    package let name: String
    /// The incarnation, as `Incarnation` describes itself.
    package let incarnation: String

    /// Takes the parts as given; registers nothing.
    package init(name: String, incarnation: String) {
        self.name = name
        self.incarnation = incarnation
    }
}
