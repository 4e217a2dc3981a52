/// What makes the provider act for the caller: fetch from the network, run code, or read what is stored under the account
/// that all tenants share. Each is refused unless the rules allow it.
package enum ProviderFeature: String, CaseIterable, Hashable, Sendable {
    /// Searches the web, or other public data such as maps.
    case webSearch = "web_search"
    /// Fetches addresses from the conversation.
    case webFetch = "web_fetch"
    /// Runs code on the provider's machines, which may have a network.
    case codeExecution = "code_execution"
    /// Calls servers or connected accounts that the request names.
    case remoteTools = "mcp"
    /// Searches files that are stored with the provider.
    case fileSearch = "file_search"
    /// Runs a browser or desktop on the provider's machines.
    case hostedComputer = "computer_use"
    /// Makes images, at prices of their own.
    case imageGeneration = "image_generation"
    /// Fetches an image or document from an address in the content.
    case urlSource = "url_source"
    /// Reads a file that is stored with the provider.
    case storedFile = "file_id"
    /// Reads a conversation, prompt or cache that is stored with the provider.
    case storedState = "stored_state"
    /// Stores the answer with the provider, or computes it after the connection has ended.
    case background
}
