/// The keyword `type`.
struct SchemaTypes: Sendable {
    let kinds: SchemaKinds
    /// Such as "string or null".
    let text: String
}
