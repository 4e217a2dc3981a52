extension EgressReason {
    /// What the caller can do about the refusal: one or two sentences for a model or a person.
    package var advice: String {
        switch self {
        case .malformedRequest, .incompleteRequest, .headTooLarge, .versionNotSupported, .ambiguousFraming,
            .malformedBody, .bufferExceeded:
            "Send one well-formed HTTP/1.1 proxy request for each connection."
        case .notAProxyRequest:
            "This is a forward proxy. Use CONNECT host:port, or a target that starts with http://."
        case .schemeNotSupported: "Use CONNECT for https, and a target that starts with http:// for plain HTTP."
        case .invalidHost: "Use a host name of ASCII letters, digits, hyphens and dots, or a canonical IP address."
        case .invalidPort: "Name the port as a decimal number from 1 to 65535."
        case .invalidPath: "Use a path without dot segments, empty segments, backslashes and encoded slashes."
        case .hostMismatch: "Send exactly one Host header that equals the host of the target."
        case .deadlinePassed: "Send the request, and the first bytes in a tunnel, without a pause."
        case .hostNotAllowed, .denied:
            "Do not try mirrors or other addresses. Work without this host, or ask the operator to allow it."
        case .portNotAllowed, .doorNotAllowed, .pathNotAllowed, .methodNotAllowed, .upgradeNotAllowed:
            "Use what the entry of this host allows, or ask the operator to extend it."
        case .approvalRequired: "Wait until a person has approved this host, then try once more."
        case .addressNotAllowed: "Private, local and reserved addresses are not reachable. Do not try again."
        case .ownListener: "Connect directly: this address is one of the sandbox's own listeners. Set NO_PROXY for it."
        case .resolutionFailed, .resolutionTimeout: "The name has no usable address now. Check its spelling."
        case .dialFailed, .dialTimeout:
            "The host does not accept connections now. Try again later, a few times at most."
        case .opaqueTunnel, .malformedClientHello, .clientHelloTooLarge:
            "Only TLS is allowed in this tunnel. Start it with a regular ClientHello."
        case .sniMissing, .sniMismatch: "Set the TLS server name to the host of the CONNECT request."
        case .encryptedClientHello: "Disable Encrypted Client Hello: the server name must be visible."
        case .unknownPlaceholder: "Use the base URL and the key of the environment, and no other."
        case .lengthRequired, .requestTooLarge, .encodingNotSupported, .upgradeNotSupported, .outputLimit:
            "Send the request again as the message says."
        case .modelNotAllowed, .providerSideFetch, .unknownTool:
            "Work without it, or ask the operator to allow it."
        case .budgetSpent: "Stop. Ask the operator to raise the budget."
        case .credentialMissing, .credentialRejected:
            "Stop. The operator must renew the credential of this entry."
        case .answerTimeout: "Send a smaller request, or try again later."
        case .certificateNotAccepted, .answerMalformed: "The provider cannot be reached safely now. Ask the operator."
        case .tooManyTunnels: "Close connections that are not needed, then try again."
        case .auditUnavailable: "The audit trail cannot be written now. Try again later."
        }
    }
}
