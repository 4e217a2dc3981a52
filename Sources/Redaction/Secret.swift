/// A value that must not be printed: it prints as a placeholder, does not encode, and is read only through `expose`.
package struct Secret<Value: Sendable>: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    private let value: Value

    /// Wraps the value.
    package init(_ value: Value) { self.value = value }

    /// Passes the value to `body`; the caller is responsible for what leaves it.
    package func expose<Result>(_ body: (Value) throws -> Result) rethrows -> Result { try body(self.value) }

    package var description: String { "<secret>" }
    package var debugDescription: String { "<secret>" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
