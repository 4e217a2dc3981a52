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

/// JSON pointers (RFC 6901), kept escaped: they only name places in one document.
enum SchemaPointer {
    static func step(_ name: String) -> String {
        var result = "/"
        for scalar in name.unicodeScalars {
            switch scalar {
            case "~": result += "~0"
            case "/": result += "~1"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The pointer of a `$ref` that stays within the document, nil for any other.
    static func pointer(ofReference reference: String) -> String? {
        let utf8 = Array(reference.utf8)
        guard utf8.first == UInt8(ascii: "#") else { return nil }
        var bytes: [UInt8] = []
        var index = 1
        while index < utf8.count {
            if utf8[index] == UInt8(ascii: "%") {
                guard index + 2 < utf8.count, let high = Hexadecimal.value(of: utf8[index + 1]),
                    let low = Hexadecimal.value(of: utf8[index + 2])
                else { return nil }
                bytes.append(high << 4 | low)
                index += 3
            } else {
                bytes.append(utf8[index])
                index += 1
            }
        }
        guard let pointer = String(validating: bytes, as: UTF8.self) else { return nil }
        guard bytes.isEmpty || bytes.first == UInt8(ascii: "/") else { return nil }
        let parts = bytes.split(separator: UInt8(ascii: "~"), omittingEmptySubsequences: false).dropFirst()
        return parts.allSatisfy { $0.first == UInt8(ascii: "0") || $0.first == UInt8(ascii: "1") } ? pointer : nil
    }
}
