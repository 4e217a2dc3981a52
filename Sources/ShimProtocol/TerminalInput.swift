package import Domain

/// A message to an agent's terminal: text that is typed and entered, or keys.
package enum TerminalInput: Hashable, Sendable {
    /// Checked by `TypedText.checked`; the shim refuses any other.
    case text(String)
    case keys([TerminalKey])

    /// Text to type. Throws `DomainError` for what `TypedText` does not accept.
    package init(text: String) throws(DomainError) {
        _ = try TypedText.checked(text)
        self = .text(text)
    }

    /// Keys to press. Throws `DomainError` for a name that is not a key, for none, and for too many.
    package init(keys names: [String]) throws(DomainError) { self = .keys(try TerminalKey.list(names)) }

    /// What the audit trail keeps a digest of.
    package var content: [UInt8] {
        switch self {
        case .text(let text): Array(text.utf8)
        case .keys(let keys): Array("keys \(keys.map(\.name).joined(separator: " "))".utf8)
        }
    }

    /// The frame that sends it under this key.
    package func frame(key: [UInt8]) -> ShimFrame {
        switch self {
        case .text(let text): .message(key: key, text: text)
        case .keys(let keys): .keys(key: key, names: keys.map(\.name))
        }
    }
}
