/// The tool types and members of requests that are known, by provider. A tool type that is not in it is refused, because
/// what it does is not known.
enum ProviderToolTable {
    /// What a tool does.
    enum Use: Hashable, Sendable {
        /// The caller runs it.
        case local
        /// The provider runs it.
        case hosted(ProviderFeature)
    }

    /// Types of tools. One that ends with `*` covers all types that begin with it: providers add dates to them.
    private static let types: [ModelProvider: [(type: String, use: Use)]] = [
        .anthropic: [
            ("custom", .local), ("bash_*", .local), ("text_editor_*", .local), ("computer_*", .local),
            ("memory_*", .local), ("tool_search_tool_*", .local), ("web_search_*", .hosted(.webSearch)),
            ("web_fetch_*", .hosted(.webFetch)), ("code_execution_*", .hosted(.codeExecution)),
            ("mcp_toolset", .hosted(.remoteTools)),
        ],
        .openAIResponses: [
            ("function", .local), ("custom", .local), ("local_shell", .local), ("apply_patch", .local),
            ("namespace", .local), ("tool_search", .local), ("shell", .hosted(.codeExecution)),
            ("web_search*", .hosted(.webSearch)), ("file_search", .hosted(.fileSearch)),
            ("code_interpreter", .hosted(.codeExecution)), ("mcp", .hosted(.remoteTools)),
            ("image_generation", .hosted(.imageGeneration)), ("computer*", .hosted(.hostedComputer)),
        ],
        .openAIChat: [
            ("function", .local), ("custom", .local), ("web_search*", .hosted(.webSearch)),
            ("mcp", .hosted(.remoteTools)), ("code_interpreter", .hosted(.codeExecution)),
            ("file_search", .hosted(.fileSearch)),
        ],
        // Gemini names a tool by its member; the names are compared without `_` and case.
        .gemini: [
            ("functiondeclarations", .local), ("googlesearch", .hosted(.webSearch)),
            ("googlesearchretrieval", .hosted(.webSearch)), ("enterprisewebsearch", .hosted(.webSearch)),
            ("googlemaps", .hosted(.webSearch)), ("retrieval", .hosted(.fileSearch)),
            ("urlcontext", .hosted(.webFetch)), ("codeexecution", .hosted(.codeExecution)),
            ("filesearch", .hosted(.fileSearch)), ("computeruse", .hosted(.hostedComputer)),
            ("mcpservers", .hosted(.remoteTools)),
        ],
    ]

    /// Members of a request that ask for a feature when they are neither null, false nor empty.
    static let members: [ModelProvider: [(name: String, feature: ProviderFeature)]] = [
        .anthropic: [("mcp_servers", .remoteTools), ("container", .codeExecution)],
        .openAIResponses: [
            ("background", .background), ("store", .background), ("previous_response_id", .storedState),
            ("conversation", .storedState), ("prompt", .storedState),
        ],
        .openAIChat: [
            ("web_search_options", .webSearch), ("plugins", .webSearch),
            ("search_parameters", .webSearch), ("store", .background),
        ],
        .gemini: [("cachedcontent", .storedState)],
    ]

    /// What a tool of this type does; nil if it is not known.
    static func use(of type: String, with provider: ModelProvider) -> Use? {
        self.types[provider]?.first { entry in
            entry.type.hasSuffix("*") ? type.hasPrefix(entry.type.dropLast()) : type == entry.type
        }?.use
    }

    /// A member name of Gemini in one spelling: its API takes `url_context` and `urlContext`.
    static func plain(_ name: String) -> String { name.lowercased().filter { $0 != "_" } }
}
