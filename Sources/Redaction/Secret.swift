/// A value that must not be shown: it prints as a placeholder, does not encode, and is read only by
/// asking for it by name.
package struct Secret<Value: Sendable>: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    private let value: Value

    package init(_ value: Value) { self.value = value }

    /// Gives the value to `body`; what leaves it is the caller's responsibility.
    package func expose<Result>(_ body: (Value) throws -> Result) rethrows -> Result { try body(self.value) }

    package var description: String { "<secret>" }
    package var debugDescription: String { "<secret>" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
