/// A value of the domain was refused; the message names the value and what was expected.
package typealias DomainError = CodedError<DomainErrorCode>

/// The closed list of reasons.
package enum DomainErrorCode: Hashable, Sendable {
    case invalidIdentifier
    case invalidJSON
    case invalidValue
}

extension CodedError where ErrorCode == DomainErrorCode {
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
}
