struct TextLimits: Sendable {
    var minimum: Int?
    var maximum: Int?
    var pattern: SchemaPattern?
    var format: SchemaFormat?
}
