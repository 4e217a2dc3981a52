import Domain
import Testing

@testable import Policy

@Suite("The keywords of JSON Schema")
struct SchemaKeywordTests {
    /// Whether a standard schema accepts a value.
    private func accepts(_ schema: String, _ value: String) throws -> Bool {
        let compiled = try JSONSchema(try JSONParser.parse(Array(schema.utf8)), mode: .standard)
        return compiled.problem(with: try JSONParser.parse(Array(value.utf8))) == nil
    }

    private func check(_ schema: String, good: [String], bad: [String]) throws {
        for value in good { #expect(try self.accepts(schema, value), "\(schema) refuses \(value)") }
        for value in bad { #expect(try !self.accepts(schema, value), "\(schema) accepts \(value)") }
    }

    @Test("type is one of the seven, or a list of them")
    func type() throws {
        try self.check(#"{"type":"integer"}"#, good: ["1", "-0", "1.0"], bad: ["1.5", #""1""#, "null", "true"])
        try self.check(#"{"type":"number"}"#, good: ["1", "1.5"], bad: [#""1""#])
        try self.check(#"{"type":["string","null"]}"#, good: [#""a""#, "null"], bad: ["1", "[]", "{}"])
        try self.check(#"{"type":"boolean"}"#, good: ["true", "false"], bad: ["0", "null"])
    }

    @Test("enum and const compare by value, so that 1 and 1.0 are one number")
    func enumeration() throws {
        try self.check(
            #"{"enum":[1,"a",null,[1]]}"#, good: ["1", "1.0", #""a""#, "null", "[1]"], bad: ["2", #""b""#, "[2]"])
        try self.check(#"{"const":{"a":1,"b":2}}"#, good: [#"{"b":2,"a":1}"#], bad: [#"{"a":1}"#, "1"])
    }

    @Test("minimum and maximum include their bound; the exclusive ones do not")
    func bounds() throws {
        try self.check(#"{"minimum":1,"maximum":3}"#, good: ["1", "3", #""x""#], bad: ["0", "4", "0.9"])
        try self.check(#"{"exclusiveMinimum":1,"exclusiveMaximum":3}"#, good: ["2", "1.5"], bad: ["1", "3"])
    }

    @Test("bounds are exact beyond the precision of a double")
    func exactBounds() throws {
        try self.check(
            #"{"maximum":9007199254740993}"#, good: ["9007199254740993", "9007199254740992"], bad: ["9007199254740994"])
    }

    @Test("multipleOf holds for decimal fractions")
    func multipleOf() throws {
        try self.check(#"{"multipleOf":0.1}"#, good: ["0.3", "7", "-0.2", "0"], bad: ["0.35"])
        try self.check(#"{"multipleOf":3}"#, good: ["9", "0"], bad: ["10"])
    }

    @Test("lengths count characters, not bytes")
    func lengths() throws {
        try self.check(
            #"{"minLength":2,"maxLength":3}"#, good: [#""ab""#, #""äöü""#, "1"], bad: [#""a""#, #""abcd""#])
    }

    @Test("pattern matches a part of the text unless it is anchored")
    func pattern() throws {
        try self.check(#"{"pattern":"b+"}"#, good: [#""abbc""#], bad: [#""ac""#])
        try self.check(#"{"pattern":"^b+$"}"#, good: [#""bb""#], bad: [#""abb""#])
    }

    @Test("items, prefixItems and their counts")
    func items() throws {
        try self.check(#"{"items":{"type":"integer"}}"#, good: ["[]", "[1,2]"], bad: [#"[1,"a"]"#])
        try self.check(
            #"{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}"#, good: [#"["a",1]"#, "[]"],
            bad: ["[1]", #"["a","b"]"#])
        try self.check(#"{"minItems":1,"maxItems":2}"#, good: ["[1]", "[1,2]"], bad: ["[]", "[1,2,3]"])
    }

    @Test("uniqueItems compares by value")
    func unique() throws {
        try self.check(
            #"{"uniqueItems":true}"#, good: ["[1,2]", #"[1,"1"]"#], bad: ["[1,1.0]", #"[{"a":1},{"a":1}]"#])
    }

    @Test("contains with its counts")
    func contains() throws {
        try self.check(#"{"contains":{"const":1}}"#, good: ["[2,1]"], bad: ["[2]", "[]"])
        try self.check(
            #"{"contains":{"const":1},"minContains":2,"maxContains":3}"#, good: ["[1,1]", "[1,1,1]"],
            bad: ["[1]", "[1,1,1,1]"])
    }

    @Test("properties, required and additionalProperties")
    func objects() throws {
        try self.check(
            #"{"properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}"#,
            good: [#"{"a":1}"#], bad: ["{}", #"{"a":"x"}"#, #"{"a":1,"b":2}"#])
    }

    @Test("patternProperties and propertyNames look at the names")
    func names() throws {
        try self.check(
            #"{"patternProperties":{"^n":{"type":"integer"}}}"#, good: [#"{"n1":1,"x":"a"}"#], bad: [#"{"n1":"a"}"#])
        try self.check(#"{"propertyNames":{"maxLength":2}}"#, good: [#"{"ab":1}"#], bad: [#"{"abc":1}"#])
    }

    @Test("minProperties and maxProperties count the members")
    func counts() throws {
        try self.check(
            #"{"minProperties":1,"maxProperties":1}"#, good: [#"{"a":1}"#], bad: ["{}", #"{"a":1,"b":1}"#])
    }

    @Test("dependentRequired and dependentSchemas hold when the member is there")
    func dependent() throws {
        try self.check(
            #"{"dependentRequired":{"a":["b"]}}"#, good: ["{}", #"{"a":1,"b":1}"#], bad: [#"{"a":1}"#])
        try self.check(
            #"{"dependentSchemas":{"a":{"required":["c"]}}}"#, good: ["{}", #"{"a":1,"c":1}"#], bad: [#"{"a":1}"#])
    }

    @Test("allOf, anyOf, oneOf and not")
    func combinations() throws {
        try self.check(#"{"allOf":[{"minimum":1},{"maximum":2}]}"#, good: ["1"], bad: ["0", "3"])
        try self.check(#"{"anyOf":[{"minimum":5},{"maximum":2}]}"#, good: ["1", "6"], bad: ["3"])
        try self.check(#"{"oneOf":[{"minimum":2},{"maximum":3}]}"#, good: ["1", "4"], bad: ["2", "3"])
        try self.check(#"{"not":{"type":"string"}}"#, good: ["1"], bad: [#""a""#])
    }

    @Test("if decides between then and else")
    func conditions() throws {
        try self.check(
            #"{"if":{"type":"string"},"then":{"minLength":2},"else":{"minimum":5}}"#, good: [#""ab""#, "5"],
            bad: [#""a""#, "4"])
    }

    @Test("a reference is the schema that it names, at any depth")
    func references() throws {
        try self.check(
            ##"{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"next":{"$ref":"#/$defs/n"}},"type":"object"}}}"##,
            good: ["{}", #"{"next":{"next":{}}}"#], bad: ["1", #"{"next":{"next":1}}"#])
    }

    @Test("the boolean schemas accept all and nothing")
    func booleans() throws {
        try self.check("true", good: ["1", "null"], bad: [])
        try self.check("false", good: [], bad: ["1", "null"])
    }

    @Test(
        "each format accepts what its standard allows",
        arguments: [
            ("date", "2028-02-29"), ("time", "23:59:60Z"), ("time", "10:00:00.5+01:00"),
            ("date-time", "2026-12-01T00:00:00Z"), ("email", "a.b@example.org"), ("ipv4", "192.0.2.1"),
            ("ipv6", "2001:db8::1"), ("uri", "https://example.org/a?b#c"),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000"),
        ])
    func formats(name: String, text: String) throws {
        #expect(try self.accepts(#"{"format":"\#(name)"}"#, "\"\(text)\""))
    }

    @Test(
        "each format refuses what only looks like it",
        arguments: [
            ("date", "2027-02-29"), ("date", "2026-13-01"), ("date", "2026-1-01"), ("time", "24:00:00Z"),
            ("time", "10:00:00"), ("date-time", "2026-12-01 00:00:00Z"), ("date-time", "2026-12-01T00:00:00Zx"),
            ("email", "a@"), ("email", "a b@c.d"), ("ipv4", "192.0.2.256"), ("ipv4", "192.0.2.01"), ("ipv6", "1:::2"),
            ("uri", "example.org"), ("uuid", "123e4567e89b12d3a456426614174000"),
        ])
    func malformedFormats(name: String, text: String) throws {
        #expect(try !self.accepts(#"{"format":"\#(name)"}"#, "\"\(text)\""))
    }

    @Test("a format that is not enforced is refused when the schema is loaded")
    func unknownFormat() {
        #expect(throws: DomainError.self) { try self.accepts(#"{"format":"hostname-ish"}"#, "1") }
    }

    @Test(
        "a keyword of the wrong type is refused when the schema is loaded",
        arguments: [
            #"{"type":"strange"}"#, #"{"type":1}"#, #"{"minLength":-1}"#, #"{"minLength":1.5}"#, #"{"required":"a"}"#,
            #"{"enum":[]}"#, #"{"multipleOf":0}"#, #"{"pattern":"("}"#, #"{"items":1}"#, #"{"anyOf":[]}"#,
            ##"{"$ref":"#/nowhere"}"##, #"{"$ref":"https://example.org/s"}"#,
        ])
    func malformed(schema: String) {
        #expect(throws: DomainError.self) { try self.accepts(schema, "1") }
    }
}

@Suite("The pattern parser")
struct PatternParserTests {
    private func matches(_ pattern: String, _ text: String) throws -> Bool {
        var budget = 1_000_000
        return try SchemaPattern(pattern).matches(text, budget: &budget)
    }

    @Test("alternatives, groups and repetitions")
    func structure() throws {
        #expect(try self.matches("^(a|bc)+$", "abca") && !self.matches("^(a|bc)+$", "ab"))
        #expect(try self.matches("^a?b*$", "bbb") && !self.matches("^a?b*$", "aab"))
        #expect(try self.matches("^(?:x){2}$", "xx") && !self.matches("^(?:x){2}$", "xxx"))
        #expect(try self.matches("^x{1,3}$", "xxx") && !self.matches("^x{1,3}$", "xxxx"))
        #expect(try self.matches("^x{2,}$", "xxxx") && !self.matches("^x{2,}$", "x"))
    }

    @Test("classes, ranges and their negation")
    func classes() throws {
        #expect(try self.matches("^[a-c_-]+$", "ab_-") && !self.matches("^[a-c]$", "d"))
        #expect(try self.matches("^[^a-c]$", "d") && !self.matches("^[^a-c]$", "b"))
        #expect(try self.matches(#"^\d\w\s\S$"#, "1a b") && !self.matches(#"^\D$"#, "1"))
    }

    @Test("the dot is any character but a line end")
    func dot() throws { #expect(try self.matches("^.$", "é") && !self.matches("^.$", "\n")) }

    @Test("escaped characters stand for themselves")
    func escapes() throws {
        #expect(try self.matches(#"^\.\*\\\/$"#, #".*\/"#) && !self.matches(#"^\.$"#, "a"))
        #expect(try self.matches(#"^\u00e9$"#, "é"))
    }

    @Test(
        "what cannot be matched in linear time, or is malformed, is refused",
        arguments: [#"(a)\1"#, "(?=a)", "(?!a)", "(?<=a)", "(", ")", "[", "a**", "*a", "[b-a]", "{2}", #"\"#, "a{3,2}"])
    func refused(pattern: String) { #expect(throws: DomainError.self) { try SchemaPattern(pattern) } }

    @Test(
        "the work for a text grows with its length and no faster, whatever the pattern",
        arguments: ["^(a|aa)+$", "(a*)*b", "(a+)+$", "^(a?){500}a{500}$", "(x+x+)+y", "([a-z]+[a-z0-9]*)+!"])
    func linearWork(pattern: String) throws {
        func work(_ count: Int) throws -> Int {
            var budget = Int.max
            _ = try SchemaPattern(pattern).matches(String(repeating: "a", count: count) + "?", budget: &budget)
            return Int.max - budget
        }
        let (half, whole) = (try work(2000), try work(4000))
        #expect(half > 0 && whole <= 2 * half + 100, "\(half), \(whole)")
    }

    @Test("a pattern with too many states is refused")
    func large() { #expect(throws: DomainError.self) { try SchemaPattern("(((a{50}){50}){50}){50}") } }

    @Test("the work of a match is bounded by the budget, and a match that exceeds it is no match")
    func budget() throws {
        var budget = 10
        #expect(try !SchemaPattern("a*b").matches(String(repeating: "a", count: 1000) + "b", budget: &budget))
        #expect(budget < 0)
    }

    @Test("an error names the offset in the pattern")
    func offsets() {
        let error = #expect(throws: DomainError.self) { try SchemaPattern("ab(") }
        #expect(error?.message.contains("3") == true, "\(error?.message ?? "")")
    }
}
