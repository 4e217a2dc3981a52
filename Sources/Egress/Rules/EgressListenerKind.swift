/// The kind of egress that an entry allows. Files name it in the field `door`.
package enum EgressListenerKind: String, Hashable, Sendable, CaseIterable {
    /// CONNECT: an opaque tunnel to one host and port.
    case tunnel
    /// Plain HTTP in absolute form.
    case http
    /// The API of a model provider.
    case model
    /// Fetch and push of git over HTTP.
    case git
    /// A package registry, for reading.
    case registry
}
