/// What a value of the domain refuses; each message names the thing and what was expected.
package struct DomainError: Error, Hashable, CustomStringConvertible {
    /// The closed list of reasons.
    package enum Code: Hashable, Sendable {
        case invalidIdentifier
        case invalidJSON
        case invalidValue
    }

    package let code: Code
    package let message: String

    package init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    package static func invalidIdentifier(kind: String, text: String, expected: String) -> DomainError {
        DomainError(
            code: .invalidIdentifier, message: "'\(Printable.text(text))' is not a valid \(kind): expected \(expected)")
    }

    package static func invalidJSON(_ problem: String, offset: Int) -> DomainError {
        DomainError(code: .invalidJSON, message: "\(problem) at byte \(offset)")
    }

    package static func invalidValue(_ message: String) -> DomainError {
        DomainError(code: .invalidValue, message: message)
    }

    package var description: String { self.message }
}

/// Makes text from outside fit to be shown: short, one line, no control characters.
package enum Printable {
    package static func text(_ text: String, limit: Int = 80) -> String {
        var result = ""
        for scalar in text.unicodeScalars.prefix(limit) {
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            result.unicodeScalars.append(isControl ? "\u{fffd}" : scalar)
        }
        return text.unicodeScalars.count > limit ? result + "…" : result
    }
}
