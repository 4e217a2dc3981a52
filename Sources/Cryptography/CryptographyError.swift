/// What the system's OpenSSL refused to do; no key material is ever in the message.
package struct CryptographyError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// The bytes were changed, moved, or sealed with another key.
        case authenticationFailed
        /// A key, nonce or message has an impossible size.
        case invalidSize
        /// OpenSSL itself reported an error; nothing was produced.
        case libraryFailure
    }

    package let code: Code
    package let message: String

    package init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}
