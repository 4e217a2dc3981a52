package import Domain

/// The API cannot be served.
package typealias APIError = CodedError<APIErrorCode>

/// Why the API cannot be served.
package enum APIErrorCode: Hashable, Sendable {
    /// Accepting connections failed; the listener is closed.
    case stoppedAccepting
}
