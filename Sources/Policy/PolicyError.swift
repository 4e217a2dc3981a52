package import Domain

/// A policy cannot be used; the message names the file and what was expected.
package typealias PolicyError = CodedError<PolicyErrorCode>

/// Why a policy cannot be used.
package enum PolicyErrorCode: Hashable, Sendable {
    /// A file does not follow the format of its folder.
    case malformedFile
    /// A file names something that no other file defines, or that another file defines already.
    case inconsistent
}

extension CodedError where ErrorCode == PolicyErrorCode {
    static func invalid(_ file: String, _ problem: String, underlying: (any Error)? = nil) -> PolicyError {
        PolicyError(
            code: .malformedFile, message: "the policy file \(file) is refused: \(problem)", underlying: underlying)
    }

    static func inconsistent(_ file: String, _ problem: String) -> PolicyError {
        PolicyError(code: .inconsistent, message: "the policy file \(file) is refused: \(problem)")
    }
}
