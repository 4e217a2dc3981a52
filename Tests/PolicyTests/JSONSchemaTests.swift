import Domain
import Foundation
import Policy
import Testing

@Suite("JSON Schema", .serialized)
struct JSONSchemaTests {
    static func value(_ text: String) throws -> JSONValue {
        try JSONParser.parse(Array(text.utf8), depthLimit: 64)
    }

    private func schema(_ text: String, _ mode: JSONSchema.Mode = .closed) throws -> JSONSchema {
        try JSONSchema(try Self.value(text), mode: mode)
    }

    /// A closed schema of one property.
    private func property(_ text: String) throws -> JSONSchema {
        try self.schema(#"{"type":"object","properties":{"a":\#(text)},"$defs":{"s":{"type":"string"}}}"#)
    }

    // MARK: Closed

    @Test(
        "a closed schema that leaves a place open, or a keyword without effect, is refused when it is loaded",
        arguments: [
            ("true", "admits anything"), ("{}", "admits anything"), (#"{"minLength":1}"#, "admits anything"),
            (#"{"properties":{}}"#, "admits anything"), (#"{"type":"array"}"#, "expected 'items'"),
            (#"{"type":"array","items":{}}"#, "params/properties/a/items is refused: it admits anything"),
            (#"{"type":"array","prefixItems":[{"type":"null"}]}"#, "expected 'items'"),
            (
                #"{"type":"object","additionalProperties":true}"#,
                "a/additionalProperties is refused: it admits anything"
            ),
            (#"{"type":"object","additionalProperties":{}}"#, "a/additionalProperties is refused: it admits anything"),
            (#"{"type":"object","required":["b"]}"#, "not declared: 'b'"),
            (##"{"type":"object","$ref":"#"}"##, "expected its members in 'properties'"),
            (#"{"anyOf":[{"type":"null"},{"minimum":1}]}"#, "a/anyOf/1 is refused: it admits anything"),
            (#"{"type":"string","minimum":1}"#, "'minimum' has no effect on the type string"),
            (#"{"type":"string","then":false}"#, "'then' has no effect without 'if'"),
        ])
    func openPlaces(text: String, expected: String) {
        let error = #expect(throws: DomainError.self) { try self.property(text) }
        #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
    }

    @Test(
        "the params of an action are an object",
        arguments: ["true", "false", "{}", #"{"type":"string"}"#, #"{"type":["object","null"]}"#, #"{"const":{}}"#])
    func root(text: String) throws {
        let error = #expect(throws: DomainError.self) { try self.schema(text) }
        #expect(error?.message.contains("the schema at params is refused") == true, "\(error?.message ?? "")")
        #expect(throws: Never.self) { try self.schema(text, .standard) }
    }

    @Test("an object is closed at every depth, whether or not the schema says so")
    func closedByDefault() throws {
        let schema = try self.schema(
            ##"""
            {"type":"object","properties":{
              "a":{"type":"object","properties":{"b":{"type":"array","items":{"$ref":"#/$defs/node"}}}},
              "c":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/node"}]},
              "d":{"type":"object","additionalProperties":{"type":"integer"}},
              "e":{"type":"object","patternProperties":{"^x-":{"type":"string"}}},
              "f":{"type":"object","enum":[{"x":1}]}
            },"$defs":{"node":{"type":"object","properties":{"next":{"$ref":"#/$defs/node"}}}}}
            """##)
        for text in [
            #"{"a":{"b":[{"next":{"next":{}}}]}}"#, #"{"c":null}"#, #"{"c":{"next":{}}}"#, #"{"d":{"any":1}}"#,
            #"{"e":{"x-y":"z"}}"#, #"{"f":{"x":1}}"#,
        ] {
            #expect(schema.problem(with: try Self.value(text)) == nil)
        }
        for (text, place) in [
            (#"{"z":1}"#, "params must not have 'z'; known are: a, c, d, e, f"),
            (#"{"a":{"z":1}}"#, "params.a must not have 'z'; known are: b"),
            (#"{"a":{"b":[{},{"next":{"z":1}}]}}"#, "params.a.b[1].next must not have 'z'"),
            (#"{"c":{"z":1}}"#, "params.c must fit one of the 2 schemas of 'anyOf'"),
            (#"{"d":{"any":"1"}}"#, "params.d.any must be of type integer, not string"),
            (#"{"e":{"y":"z"}}"#, "params.e must not have 'y'"),
        ] {
            let problem = schema.problem(with: try Self.value(text))
            #expect(problem?.contains(place) == true, "\(problem ?? "")")
        }
    }

    @Test("conditions on a closed object name only some of its members, and still see them")
    func conditionsAreOpen() throws {
        let schema = try self.schema(
            #"""
            {"type":"object","properties":{"kind":{"enum":["plain","secret"]},"level":{"type":"integer"}},
             "required":["kind"],
             "not":{"properties":{"kind":{"const":"plain"},"level":{"minimum":9}},"required":["level"]},
             "if":{"properties":{"kind":{"const":"secret"}}},"then":{"required":["level"]}}
            """#)
        for (text, fits) in [
            (#"{"kind":"plain"}"#, true), (#"{"kind":"plain","level":8}"#, true),
            (#"{"kind":"plain","level":9}"#, false), (#"{"kind":"secret"}"#, false),
            (#"{"kind":"secret","level":9}"#, true), (#"{"kind":"secret","level":9,"z":1}"#, false),
        ] {
            #expect((schema.problem(with: try Self.value(text)) == nil) == fits, "\(text)")
        }
    }

    @Test("what is reported of an input is short and printable")
    func messages() throws {
        let long = String(repeating: "x", count: 5_000)
        let schema = try self.schema(
            #"""
            {"type":"object","properties":{"a":{"enum":["\#(long)",1]}},"additionalProperties":{"type":"null"},
             "propertyNames":{"maxLength":4999}}
            """#)
        for member in [
            JSONMember("a", .string(long + "y")), JSONMember(long, 1), JSONMember("\u{1b}[2J\n", .string(long)),
        ] {
            let problem = try #require(schema.problem(with: .object([member])))
            #expect(problem.count < 400 && !problem.contains { $0.isNewline || $0 == "\u{1b}" }, "\(problem)")
        }
    }

    @Test("a required string is known as one through references, enums and constants")
    func requiredStrings() throws {
        let schema = try self.schema(
            ##"""
            {"type":"object","required":["a","b","c","n","o"],"properties":{
             "a":{"type":"string"},"b":{"$ref":"#/$defs/s"},"c":{"enum":["x"]},"d":{"type":"string"},
             "n":{"type":"integer"},"o":{"type":["string","null"]}},"$defs":{"s":{"$ref":"#/properties/a"}}}
            """##)
        for (name, isOne) in [("a", true), ("b", true), ("c", true), ("d", false), ("n", false), ("o", false)] {
            #expect(schema.hasRequiredString(name) == isOne, "\(name)")
        }
    }

    // MARK: Either mode

    @Test(
        "what is not supported or not right is refused by its place and keyword",
        arguments: [
            (#"{"properties":{"a":{"$anchor":"x"}}}"#, "params/properties/a", "'$anchor'"),
            (#"{"$id":"x"}"#, "params", "'$id'"), (##"{"$dynamicRef":"#x"}"##, "params", "'$dynamicRef'"),
            (#"{"unevaluatedProperties":false}"#, "params", "'unevaluatedProperties'"),
            (#"{"contentEncoding":"base64"}"#, "params", "'contentEncoding'"),
            (#"{"$defs":{"x/y":{"minLenght":1}}}"#, "params/$defs/x~1y", "'minLenght'"),
            (#"{"$schema":"http://json-schema.org/draft-07/schema#"}"#, "params", "'$schema' must be"),
            (#"{"format":"hostname"}"#, "params", "'format' must be one of"),
            (#"{"pattern":"(?=a)"}"#, "params", "'pattern' holds"), (#"{"pattern":1}"#, "params", "'pattern'"),
            (#"{"patternProperties":{"\\p{L}":true}}"#, "params", "'patternProperties' holds"),
            (#"{"$ref":"other.json"}"#, "params", "'$ref'"), (##"{"$ref":"#anchor"}"##, "params", "'$ref'"),
            (##"{"$ref":"#/$defs/a~2"}"##, "params", "'$ref'"), (##"{"$ref":"#/%zz"}"##, "params", "'$ref'"),
            (##"{"$ref":"#/examples/0","examples":[{}]}"##, "params", "leads to no schema"),
            (##"{"$defs":{"a":{"$ref":"#/nowhere"}}}"##, "params/$defs/a", "leads to no schema"),
            (#"{"type":"text"}"#, "params", "'text' is no type"), (#"{"type":[]}"#, "params", "'type'"),
            (#"{"type":["null","null"]}"#, "params", "different"), (#"{"enum":[]}"#, "params", "'enum'"),
            (#"{"required":["a","a"]}"#, "params", "'required'"), (#"{"minLength":-1}"#, "params", "'minLength'"),
            (#"{"maxItems":1.5}"#, "params", "'maxItems'"), (#"{"minimum":"1"}"#, "params", "'minimum'"),
            (#"{"multipleOf":0}"#, "params", "'multipleOf'"), (#"{"uniqueItems":1}"#, "params", "'uniqueItems'"),
            (#"{"items":[{}]}"#, "params/items", "a schema is"), (#"{"allOf":[]}"#, "params", "'allOf'"),
            (#"{"properties":[]}"#, "params", "'properties'"), (#"{"title":1}"#, "params", "'title'"),
            (#"{"dependentRequired":{"a":"b"}}"#, "params", "'dependentRequired'"), ("3", "params", "a schema is"),
        ])
    func refusals(text: String, place: String, expected: String) throws {
        for mode in [JSONSchema.Mode.standard, .closed] {
            let error = #expect(throws: DomainError.self) { try self.schema(text, mode) }
            guard mode == .standard, let error else { continue }
            #expect(error.message.hasPrefix("the schema at \(place) is refused: "), "\(error.message)")
            #expect(error.message.contains(expected), "\(error.message)")
        }
    }

    @Test(
        "references in a circle are refused, a recursive schema is not",
        arguments: [
            (##"{"$ref":"#"}"##, false), (##"{"allOf":[{"$ref":"#"}]}"##, false), (##"{"not":{"$ref":"#"}}"##, false),
            (##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"anyOf":[true,{"$ref":"#/$defs/a"}]}}}"##, false),
            (##"{"dependentSchemas":{"a":{"if":{"$ref":"#"}}}}"##, false),
            (##"{"items":{"$ref":"#"}}"##, true), (##"{"properties":{"a":{"allOf":[{"$ref":"#"}]}}}"##, true),
            (##"{"contains":{"$ref":"#"},"propertyNames":{"$ref":"#"}}"##, true),
        ])
    func cycles(text: String, isRight: Bool) throws {
        if isRight {
            _ = try self.schema(text, .standard)
            return
        }
        let error = #expect(throws: DomainError.self) { try self.schema(text, .standard) }
        #expect(error?.message.contains("refers back to itself") == true, "\(error?.message ?? "")")
    }

    @Test("a row of references is followed as far as the stack is known to allow")
    func chains() throws {
        func chain(_ count: Int) -> String {
            let links = (0..<count).map { ##""s\##($0)":{"$ref":"#/$defs/s\##($0 + 1)"}"## }.joined(separator: ",")
            return ##"{"$ref":"#/$defs/s0","$defs":{\##(links),"s\##(count)":{"items":{"$ref":"#"}}}}"##
        }
        let schema = try self.schema(chain(6), .standard)
        let deep = String(repeating: "[", count: 33) + String(repeating: "]", count: 33)
        #expect(schema.problem(with: try Self.value(deep)) == nil)
        #expect(throws: DomainError.self) { try self.schema(chain(9), .standard) }
        #expect(throws: DomainError.self) { try self.schema(chain(50_000), .standard) }
    }

    @Test("a schema that asks for exponential work is cut off, and the value is refused even inside 'not'")
    func work() throws {
        let branch = ##"{"items":{"$ref":"#/$defs/x"}}"##
        let schema = ##""anyOf":[\##(branch),\##(branch),\##(branch)],"minItems":1"##
        let deep = try Self.value(String(repeating: "[", count: 32) + String(repeating: "]", count: 32))
        for text in ["{\(schema)", #"{"not":{\#(schema)}"#] {
            let problem = try self.schema(text + #","$defs":{"x":{\#(schema)}}}"#, .standard).problem(with: deep)
            #expect(problem == "params takes too long to check")
        }
    }

    @Test(
        "values are checked against every supported keyword",
        arguments: [
            (#"{"type":"integer","minimum":1,"maximum":3}"#, "2", true),
            (#"{"type":"integer","minimum":1}"#, "0", false),
            (#"{"type":"integer"}"#, "1.0", true), (#"{"type":"integer"}"#, "1.5", false),
            (#"{"type":"number","maximum":1.5}"#, "1.6", false), (#"{"type":"boolean"}"#, "true", true),
            (#"{"type":"null"}"#, "0", false), (#"{"type":"string","enum":["a","b"]}"#, #""c""#, false),
            (#"{"type":"string","const":"a"}"#, #""a""#, true), (#"{"type":"string","maxLength":1}"#, #""é""#, true),
            (#"{"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":2}"#, "[1,2]", true),
            (#"{"type":"array","items":{"type":"integer"}}"#, #"[1,"x"]"#, false),
            (#"{"type":"array","minItems":1}"#, "[]", false), (#"{"const":1}"#, "1.0", true),
            (#"{"const":{"a":1,"b":[0]}}"#, #"{"b":[-0.0],"a":1.0}"#, true), (#"{"const":1}"#, "true", false),
            (#"{"const":"\u00e9"}"#, #""e\u0301""#, false), (#"{"enum":[[true]]}"#, "[1]", false),
            (#"{"enum":[1,2],"const":2}"#, "1", false), (#"{"required":["\u00e9"]}"#, #"{"e\u0301":1}"#, false),
            (#"{"properties":{"\u00e9":true},"additionalProperties":false}"#, #"{"e\u0301":1}"#, false),
            (#"{"multipleOf":0.01}"#, "4.35", true), (#"{"multipleOf":0.1}"#, "0.35", false),
            (#"{"multipleOf":0.123456789}"#, "1e308", false), (#"{"multipleOf":0.5}"#, "1e308", true),
            (#"{"multipleOf":1.5}"#, "9007199254740992", false), (#"{"multipleOf":1e-300}"#, "9e300", true),
            (#"{"exclusiveMinimum":9007199254740992.0}"#, "9007199254740993", true),
            (#"{"maximum":9223372036854775807}"#, "9223372036854775808", false),
            (#"{"uniqueItems":true}"#, #"[{"a":1,"b":2},{"b":2,"a":1.0}]"#, false),
            (#"{"uniqueItems":true}"#, #"[1,true,"1",[1],"e\u0301","\u00e9"]"#, true),
            (#"{"oneOf":[{"minimum":1},{"minimum":2}]}"#, "3", false),
            (#"{"contains":{"const":1},"minContains":2,"maxContains":2}"#, "[1,1.0,2]", true),
            (#"{"dependentRequired":{"a":["b"]}}"#, #"{"a":1}"#, false),
            (#"{"propertyNames":{"maxLength":1}}"#, #"{"ab":1}"#, false),
        ])
    func keywords(schema: String, value: String, fits: Bool) throws {
        let problem = try self.schema(schema, .standard).problem(with: try Self.value(value))
        #expect((problem == nil) == fits, "\(problem ?? "")")
    }

    @Test("the schema is kept as it was loaded")
    func source() throws {
        let source = try Self.value(#"{"type":"object","properties":{},"title":"t"}"#)
        #expect(try JSONSchema(source).source == source)
    }

    // MARK: Patterns

    @Test(
        "patterns match as ECMA-262 has it",
        arguments: [
            ("", "", true), ("b", "abc", true), ("^b", "abc", false), ("c$", "abc", true), ("^$", "\n", false),
            (".", "\n", false), (".", "\r", false), ("^.$", "😀", true), ("^.$", "e\u{301}", false),
            ("^[a-c-]+$", "a-c", true), ("[^a]", "a", false), ("[^]", "\n", true), ("[]", "a", false),
            (#"^\d+$"#, "১", false), (#"^\w$"#, "é", false), (#"^\s$"#, "\u{feff}", true), (#"\S"#, "\u{a0}", false),
            (#"^[\d\-_]+$"#, "1-_", true), (#"^\u0041\u{1f600}\ud83d\ude00$"#, "A😀😀", true),
            ("^(a|bc){2}$", "abc", true), ("^a{2,3}$", "aaaa", false), ("^a{2,}?$", "aaaa", true),
            ("^(?:ab)?c*$", "abcc", true), ("(^a|b)c", "xbc", true), ("(^a|b)c", "xac", false), ("a||b", "", true),
            ("((a*)*)*$", "b", true), (#"^\^\$\.\/\{\}$"#, "^$./{}", true), ("(?:(?:){1000}){1000}", "", true),
        ])
    func patterns(pattern: String, text: String, isMatch: Bool) throws {
        let schema = try JSONSchema(.object([JSONMember("pattern", .string(pattern))]), mode: .standard)
        #expect((schema.problem(with: .string(text)) == nil) == isMatch)
    }

    @Test(
        "a pattern outside the dialect is refused",
        arguments: [
            "(", ")", "a)", "[a", "*", "a**", "^*", "a{", "a{x}", "a{2,1}", "}", "]", #"\"#, #"\1"#, #"\b"#, #"\p{L}"#,
            #"\q"#, "(?=a)", "(?!a)", "(?<=a)", "(?<n>a)", "[b-a]", #"[\d-z]"#, #"\u12"#, #"\ud83d"#, #"\u{110000}"#,
            "a{2001}", "(a{100}){100}", "((a{1,9}){1,99}){1,999}", "(((){0,1000}){0,1000}){0,1000}",
            String(repeating: "(", count: 5_000),
        ])
    func badPatterns(pattern: String) {
        #expect(throws: DomainError.self) {
            try JSONSchema(.object([JSONMember("pattern", .string(pattern))]), mode: .standard)
        }
    }

}

// MARK: The official suite

/// Where the suite's `tests/draft2020-12` is; the sdist of the Python package jsonschema has it under `json`.
private let suiteDirectory = ProcessInfo.processInfo.environment["ORCHESTRA_JSON_SCHEMA_SUITE"]

@Suite(
    "JSON Schema's own tests",
    .enabled(if: suiteDirectory != nil, "needs ORCHESTRA_JSON_SCHEMA_SUITE, the suite's folder tests/draft2020-12"))
struct JSONSchemaSuiteTests {
    /// Says that `format` is not enforced unless asked for; here it always is.
    private static let excluded: Set<String> = ["format.json"]
    /// What a refusal says when it is for something that is left out on purpose.
    private static let refusals = ["is not supported", "are not supported", "'format' must be", "'$schema' must be"]

    private struct Counts {
        var passed = 0
        var wrong = 0
        var skipped = 0
    }

    @Test("every case whose schema is accepted has the right verdict")
    func verdicts() throws {
        let root = try #require(suiteDirectory)
        var total = Counts()
        for folder in ["", "optional/", "optional/format/"] {
            for name in try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)").sorted()
            where name.hasSuffix(".json") && !Self.excluded.contains(folder + name) {
                let data = try #require(FileManager.default.contents(atPath: "\(root)/\(folder)\(name)"))
                let counts = try self.run(try JSONParser.parse(Array(data), depthLimit: 64), folder + name)
                print("\(folder)\(name): \(counts.passed) passed, \(counts.wrong) wrong, \(counts.skipped) skipped")
                total.passed += counts.passed
                total.wrong += counts.wrong
                total.skipped += counts.skipped
            }
        }
        print("in all: \(total.passed) passed, \(total.wrong) wrong, \(total.skipped) skipped")
        #expect(total.wrong == 0)
        // A schema that is refused by mistake would only be skipped.
        #expect(total.passed > 1_000)
    }

    private func run(_ groups: JSONValue, _ file: String) throws -> Counts {
        var counts = Counts()
        for group in try #require(groups.array) {
            let cases = try #require(group["tests"]?.array)
            let source = try #require(group["schema"])
            let schema: JSONSchema
            do throws(DomainError) {
                schema = try JSONSchema(source, mode: .standard)
            } catch {
                #expect(Self.refusals.contains { error.message.contains($0) }, "\(file): \(error.message)")
                counts.skipped += cases.count
                continue
            }
            for test in cases {
                let problem = schema.problem(with: try #require(test["data"]))
                let isRight = (problem == nil) == test["valid"]?.bool
                counts.passed += isRight ? 1 : 0
                counts.wrong += isRight ? 0 : 1
                let name = "\(group["description"]?.string ?? ""), \(test["description"]?.string ?? "")"
                #expect(isRight, "\(file): \(name): \(problem ?? "no problem")")
            }
        }
        return counts
    }
}
