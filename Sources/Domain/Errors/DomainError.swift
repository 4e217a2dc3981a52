/// A value is invalid. The message names the value and what was expected.
package typealias DomainError = CodedError<DomainErrorCode>

extension CodedError where ErrorCode == DomainErrorCode {
    /// An identifier is malformed; `text` is made safe to show.
    package static func invalidIdentifier(kind: String, text: String, expected: String) -> DomainError {
        DomainError(
            code: .invalidIdentifier, message: "'\(Printable.text(text))' is not a valid \(kind): expected \(expected)")
    }

    /// A document is not valid JSON; `offset` counts bytes from the start of the document.
    package static func invalidJSON(_ problem: String, offset: Int) -> DomainError {
        DomainError(code: .invalidJSON, message: "\(problem) at byte \(offset)")
    }

    /// Any other invalid value. The message must not contain untrusted text that was not made printable.
    package static func invalidValue(_ message: String) -> DomainError {
        DomainError(code: .invalidValue, message: message)
    }
}
