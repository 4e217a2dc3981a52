/// Why a request is refused: a closed list. The raw values are part of the interface: they are in answers, in audit events
/// and in the output of the conformance driver.
package enum EgressReason: String, Hashable, Sendable, CaseIterable {
    // The bytes of the caller.
    case malformedRequest = "malformed_request"
    case incompleteRequest = "incomplete_request"
    case headTooLarge = "head_too_large"
    case versionNotSupported = "version_not_supported"
    case notAProxyRequest = "not_a_proxy_request"
    case schemeNotSupported = "scheme_not_supported"
    case invalidHost = "invalid_host"
    case invalidPort = "invalid_port"
    case invalidPath = "invalid_path"
    case hostMismatch = "host_mismatch"
    case ambiguousFraming = "ambiguous_framing"
    case malformedBody = "malformed_body"
    case bufferExceeded = "buffer_exceeded"
    case deadlinePassed = "deadline_passed"

    // The rules.
    case hostNotAllowed = "host_not_allowed"
    case portNotAllowed = "port_not_allowed"
    case doorNotAllowed = "door_not_allowed"
    case methodNotAllowed = "method_not_allowed"
    case pathNotAllowed = "path_not_allowed"
    case upgradeNotAllowed = "upgrade_not_allowed"
    case denied = "denied"
    case approvalRequired = "approval_required"

    // Names and addresses.
    case addressNotAllowed = "address_not_allowed"
    case ownListener = "own_listener"
    case resolutionFailed = "resolution_failed"
    case resolutionTimeout = "resolution_timeout"
    case dialFailed = "dial_failed"
    case dialTimeout = "dial_timeout"

    // The first bytes inside a tunnel.
    case opaqueTunnel = "opaque_tunnel"
    case malformedClientHello = "malformed_client_hello"
    case clientHelloTooLarge = "client_hello_too_large"
    case sniMissing = "sni_missing"
    case sniMismatch = "sni_mismatch"
    case encryptedClientHello = "ech_not_allowed"

    // A call of a model.
    case unknownPlaceholder = "unknown_placeholder"
    case lengthRequired = "length_required"
    case requestTooLarge = "request_too_large"
    case encodingNotSupported = "encoding_not_supported"
    case upgradeNotSupported = "upgrade_not_supported"
    case modelNotAllowed = "model_not_allowed"
    case outputLimit = "output_limit"
    case providerSideFetch = "provider_side_fetch"
    case unknownTool = "unknown_tool"
    case budgetSpent = "budget_spent"
    case credentialMissing = "credential_missing"
    case credentialRejected = "credential_rejected"
    case certificateNotAccepted = "certificate_not_accepted"
    case answerMalformed = "answer_malformed"
    case answerTimeout = "answer_timeout"

    // The server around the machine.
    case tooManyTunnels = "too_many_tunnels"
    case auditUnavailable = "audit_unavailable"

    /// The HTTP status of a refusal that is answered before bytes were relayed. A terminal refusal is never 429, because
    /// clients ask again after it.
    package var status: Int {
        switch self {
        case .malformedRequest, .incompleteRequest, .notAProxyRequest, .schemeNotSupported, .invalidHost, .invalidPort,
            .invalidPath, .hostMismatch, .ambiguousFraming, .malformedBody, .bufferExceeded, .outputLimit:
            400
        case .unknownPlaceholder: 401
        case .budgetSpent: 402
        case .hostNotAllowed, .portNotAllowed, .doorNotAllowed, .pathNotAllowed, .upgradeNotAllowed, .denied,
            .approvalRequired, .addressNotAllowed, .opaqueTunnel, .malformedClientHello,
            .clientHelloTooLarge, .encryptedClientHello, .modelNotAllowed, .providerSideFetch, .unknownTool:
            403
        case .methodNotAllowed: 405
        case .deadlinePassed: 408
        case .lengthRequired: 411
        case .requestTooLarge: 413
        case .encodingNotSupported: 415
        case .ownListener, .sniMissing, .sniMismatch: 421
        case .upgradeNotSupported: 426
        case .headTooLarge: 431
        case .resolutionFailed, .dialFailed, .credentialMissing, .credentialRejected, .certificateNotAccepted,
            .answerMalformed:
            502
        case .tooManyTunnels, .auditUnavailable: 503
        case .resolutionTimeout, .dialTimeout, .answerTimeout: 504
        case .versionNotSupported: 505
        }
    }

    /// Whether the same request can succeed later without a change of the rules or of the request.
    package var isTemporary: Bool {
        switch self {
        case .resolutionFailed, .resolutionTimeout, .dialFailed, .dialTimeout, .deadlinePassed, .tooManyTunnels,
            .auditUnavailable:
            true
        default: false
        }
    }
}
