package import Domain

/// Egress rules cannot be used. The message names the file, the entry, the field and what was expected.
package typealias EgressError = CodedError<EgressErrorCode>

extension CodedError where ErrorCode == EgressErrorCode {
    /// An entry is malformed; `place` names file and entry.
    static func invalid(_ place: String, _ problem: String) -> EgressError {
        EgressError(code: .invalidEntry, message: "\(place) is refused: \(problem)")
    }

    static func inconsistent(_ place: String, _ problem: String) -> EgressError {
        EgressError(code: .inconsistent, message: "\(place) is refused: \(problem)")
    }
}
