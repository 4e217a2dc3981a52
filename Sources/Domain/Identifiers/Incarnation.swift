/// Identifies one process of a node. It is unique to the process; a newer incarnation fences the older one.
package struct Incarnation: Hashable, Sendable, CustomStringConvertible {
    package let value: UInt64

    /// Takes the value as given; does not check that it is unique.
    package init(value: UInt64) { self.value = value }

    /// The value as 16 hexadecimal digits.
    package var description: String {
        Hexadecimal.text(of: UUIDBytes(high: self.value, low: 0).bytes.prefix(8))
    }
}
