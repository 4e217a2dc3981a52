internal import Domain

/// The keywords of the draft that are enforced, and those that only describe. There is no third kind.
enum SchemaKeyword {
    /// What a keyword holds, as far as finding the schemas inside it goes.
    enum Content {
        case value
        case schema
        case schemas
        case namedSchemas
    }

    /// The URI that `$schema` may name.
    static let dialect = "https://json-schema.org/draft/2020-12/schema"

    static let contents: [String: Content] = [
        "$schema": .value, "$comment": .value, "$ref": .value, "$defs": .namedSchemas,
        "title": .value, "description": .value, "default": .value, "examples": .value, "deprecated": .value,
        "readOnly": .value, "writeOnly": .value,
        "type": .value, "enum": .value, "const": .value,
        "minimum": .value, "maximum": .value, "exclusiveMinimum": .value, "exclusiveMaximum": .value,
        "multipleOf": .value,
        "minLength": .value, "maxLength": .value, "pattern": .value, "format": .value,
        "items": .schema, "prefixItems": .schemas, "minItems": .value, "maxItems": .value, "uniqueItems": .value,
        "contains": .schema, "minContains": .value, "maxContains": .value,
        "properties": .namedSchemas, "patternProperties": .namedSchemas, "additionalProperties": .schema,
        "propertyNames": .schema, "minProperties": .value, "maxProperties": .value, "required": .value,
        "dependentRequired": .value, "dependentSchemas": .namedSchemas,
        "allOf": .schemas, "anyOf": .schemas, "oneOf": .schemas, "not": .schema, "if": .schema, "then": .schema,
        "else": .schema,
    ]

    /// The keywords that hand the value itself on to other schemas, which then may say what it holds.
    static let delegating = ["$ref", "allOf", "anyOf", "oneOf"]

    /// The types of values that a keyword limits; it says nothing about the others.
    static func kinds(of keyword: String) -> SchemaKinds? {
        switch keyword {
        case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf": [.integer, .number]
        case "minLength", "maxLength", "pattern", "format": .string
        case "items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains":
            .array
        case "properties", "patternProperties", "additionalProperties", "propertyNames", "minProperties",
            "maxProperties", "required", "dependentRequired", "dependentSchemas":
            .object
        default: nil
        }
    }

    /// The keyword without which another has no effect.
    static let companions = ["then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"]

    /// Says what is wrong with a keyword that only describes.
    static func problem(annotation keyword: String, _ value: JSONValue) -> String? {
        switch keyword {
        case "$schema": value.string == Self.dialect ? nil : "'$schema' must be \"\(Self.dialect)\""
        case "$comment", "title", "description": value.string == nil ? "'\(keyword)' must be a string" : nil
        case "deprecated", "readOnly", "writeOnly": value.bool == nil ? "'\(keyword)' must be true or false" : nil
        case "examples": value.array == nil ? "'examples' must be a list" : nil
        default: nil
        }
    }
}
