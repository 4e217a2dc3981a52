/// Why a request is not sent to the provider.
package struct ModelRefusal: Error, Hashable, Sendable {
    /// The closed list of reasons.
    package enum Code: String, CaseIterable, Hashable, Sendable {
        case pathNotAllowed = "path_not_allowed"
        case methodNotAllowed = "method_not_allowed"
        case upgradeNotSupported = "upgrade_not_supported"
        case encodingNotSupported = "encoding_not_supported"
        case requestTooLarge = "request_too_large"
        case malformedRequest = "malformed_request"
        case modelNotAllowed = "model_not_allowed"
        case outputLimit = "output_limit"
        case providerSideFetch = "provider_side_fetch"
        case unknownTool = "unknown_tool"
    }

    package let status: Int
    package let code: Code
    /// What happened and what to do, for the model and the person behind it.
    package let message: String

    /// Takes the values as given.
    package init(status: Int, code: Code, message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    /// The body of the answer, in the provider's form.
    package func body(for provider: ModelProvider) -> [UInt8] {
        ProviderErrorBody.json(provider, status: self.status, code: self.code.rawValue, message: self.message)
    }

    static func malformed(_ problem: String) -> ModelRefusal {
        ModelRefusal(status: 400, code: .malformedRequest, message: "the request is malformed: \(problem)")
    }
}
