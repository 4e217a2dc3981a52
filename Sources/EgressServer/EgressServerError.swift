package import Domain

/// The egress server cannot serve.
package typealias EgressServerError = CodedError<EgressServerErrorCode>

/// Why the egress server cannot serve.
package enum EgressServerErrorCode: Hashable, Sendable {
    /// Its configuration is malformed.
    case configuration
    /// Its socket cannot be opened.
    case socket
    /// The audit trail does not take an event.
    case audit
}
