internal import Domain

/// Writes errors in the form that the clients of each provider expect.
package enum ProviderErrorBody {
    /// The body of an answer with an error status. `code` is the reason in our list; `message` is for the model and the
    /// person behind it. A status without a name of its own gets that of its class.
    ///
    /// A spent budget is 402. 429 is for throttling only, and its OpenAI type is never `insufficient_quota`, on which
    /// clients stop for good.
    package static func json(_ provider: ModelProvider, status: Int, code: String, message: String) -> [UInt8] {
        let document: JSONValue
        switch provider {
        case .anthropic:
            document = [
                "type": "error",
                "error": ["type": .string(self.anthropicType(status)), "message": .string(message)],
                "reason": .string(code),
            ]
        case .openAIResponses, .openAIChat:
            document = [
                "error": [
                    "message": .string(message), "type": .string(self.openAIType(status)), "param": nil,
                    "code": .string(code),
                ]
            ]
        case .gemini:
            document = [
                "error": [
                    "code": .integer(Int64(status)), "message": .string(message),
                    "status": .string(self.geminiStatus(status)),
                    "details": [
                        [
                            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": .string(code),
                            "domain": "orchestra",
                        ]
                    ],
                ]
            ]
        }
        return document.bytes
    }

    private static func anthropicType(_ status: Int) -> String {
        switch status {
        case 401: "authentication_error"
        case 402: "billing_error"
        case 403: "permission_error"
        case 404: "not_found_error"
        case 413: "request_too_large"
        case 429: "rate_limit_error"
        case 504: "timeout_error"
        case 529: "overloaded_error"
        case 500...: "api_error"
        default: "invalid_request_error"
        }
    }

    private static func openAIType(_ status: Int) -> String {
        switch status {
        case 401: "authentication_error"
        case 402: "insufficient_quota"
        case 403: "permission_error"
        case 429: "rate_limit_error"
        case 500...: "server_error"
        default: "invalid_request_error"
        }
    }

    private static func geminiStatus(_ status: Int) -> String {
        switch status {
        case 401: "UNAUTHENTICATED"
        case 402, 429: "RESOURCE_EXHAUSTED"
        case 403: "PERMISSION_DENIED"
        case 404: "NOT_FOUND"
        case 503, 529: "UNAVAILABLE"
        case 504: "DEADLINE_EXCEEDED"
        case 500...: "INTERNAL"
        default: "INVALID_ARGUMENT"
        }
    }
}
