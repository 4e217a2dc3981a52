/// The error type of all modules: a code from a closed list, a message for people, and the underlying error.
///
/// Each module defines an alias: `typealias RedisError = CodedError<RedisErrorCode>`. The message says what happened, what
/// was expected and what to do; it never contains a secret. Two errors are equal when code and message are.
package struct CodedError<ErrorCode: Hashable & Sendable>: Error, CustomStringConvertible {
    /// The closed list of what may be wrong; shorter where the alias of an error is written.
    package typealias Code = ErrorCode

    package let code: Code
    package let message: String
    /// The error that caused this one; nil if there is none.
    package let underlying: (any Error)?

    /// Takes the parts as given; the message must contain no secret.
    package init(code: Code, message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    /// The message, followed by the description of the underlying error.
    package var description: String {
        if let underlying = self.underlying { "\(self.message): \(underlying)" } else { self.message }
    }
}

extension CodedError: Hashable {
    /// Compares code and message; ignores the underlying error.
    package static func == (left: Self, right: Self) -> Bool {
        left.code == right.code && left.message == right.message
    }

    /// Hashes code and message, the parts that `==` compares.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.code)
        hasher.combine(self.message)
    }
}
