/// How a provider takes credentials: what is removed from the caller's request, and where ours is added.
package struct ProviderCredentials: Hashable, Sendable {
    /// The header of our credential.
    package let header: String
    /// What stands before the credential in the header, such as `Bearer `.
    package let prefix: String

    /// Header names in lower case that carry a credential, or choose whose account pays, with any provider. All of them
    /// are removed for every provider, so that a key of the caller never passes in a form that the provider also takes.
    package static let removedHeaders: Set<String> = [
        "authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "x-goog-user-project",
        "x-goog-iam-authorization-token", "x-goog-authenticated-user-email", "openai-organization", "openai-project",
        "anthropic-organization-id", "anthropic-workspace-id", "cookie", "cookie2",
        // No credentials: they would make another request of this one.
        "x-http-method-override", "x-http-method", "x-method-override",
    ]

    /// Query names in lower case that carry a credential.
    package static let removedQueryNames: Set<String> = [
        "key", "api_key", "api-key", "apikey", "access_token", "oauth_token", "token", "quotauser", "userproject",
    ]

    /// The way of a provider. `isOAuth` when the credential is a token of an account; only Anthropic distinguishes.
    package init(_ provider: ModelProvider, isOAuth: Bool = false) {
        switch provider {
        case .anthropic:
            self.header = isOAuth ? "authorization" : "x-api-key"
            self.prefix = isOAuth ? "Bearer " : ""
        case .openAIResponses, .openAIChat:
            self.header = "authorization"
            self.prefix = "Bearer "
        case .gemini:
            self.header = isOAuth ? "authorization" : "x-goog-api-key"
            self.prefix = isOAuth ? "Bearer " : ""
        }
    }

    /// The header to add for a credential.
    package func added(_ credential: String) -> (name: String, value: String) {
        (self.header, self.prefix + credential)
    }

    /// Whether a header of the caller may pass.
    package static func passes(header name: String) -> Bool { !self.removedHeaders.contains(name.lowercased()) }

    /// The query without its credentials, other parts exactly as they were. A part whose name has a percent escape or a
    /// plus sign is removed, because it may spell one of the names.
    package static func passingQuery(_ query: String) -> String {
        query.split(separator: "&", omittingEmptySubsequences: true).filter { part in
            let name = part.prefix { $0 != "=" }.lowercased()
            // Names with a dollar sign change the request itself (`$httpMethod`).
            return !name.contains("%") && !name.hasPrefix("$") && !name.contains("+")
                && !self.removedQueryNames.contains(name)
        }.joined(separator: "&")
    }
}
