/// A strict parser of JSON (RFC 8259): valid UTF-8 only, no duplicate members, bounded depth, nothing after the document.
/// Numbers without fraction and exponent that fit 64 bits are parsed as integers.
package struct JSONParser {
    private let bytes: [UInt8]
    private var position = 0
    private let depthLimit: Int
    /// The byte ranges of the members or elements of the outermost container.
    private var parts: [Range<Int>] = []

    private init(bytes: [UInt8], depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    /// Parses one document. Throws `DomainError.invalidJSON`, which names the problem and its byte offset.
    package static func parse(_ bytes: [UInt8], depthLimit: Int = 32) throws(DomainError) -> JSONValue {
        try self.document(bytes, depthLimit: depthLimit).value
    }

    /// Parses one document and keeps the ranges of its members or elements, so that each can be passed on as it was
    /// written. Throws the same errors as `parse`.
    package static func document(_ bytes: [UInt8], depthLimit: Int = 32) throws(DomainError) -> JSONDocument {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw .invalidJSON("the document is not valid UTF-8", offset: 0)
        }
        var parser = JSONParser(bytes: bytes, depthLimit: depthLimit)
        parser.skipSpace()
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.position == bytes.count else {
            throw .invalidJSON("unexpected text after the document", offset: parser.position)
        }
        return JSONDocument(value: value, source: bytes, parts: parser.parts)
    }

    private var current: UInt8? { self.position < self.bytes.count ? self.bytes[self.position] : nil }

    private mutating func skipSpace() {
        while let byte = self.current, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
            self.position += 1
        }
    }

    private func fail(_ problem: String) -> DomainError { .invalidJSON(problem, offset: self.position) }

    private mutating func value(depth: Int) throws(DomainError) -> JSONValue {
        guard depth <= self.depthLimit else { throw self.fail("nesting is deeper than \(self.depthLimit)") }
        guard let byte = self.current else { throw self.fail("the document ends where a value was expected") }
        switch byte {
        case UInt8(ascii: "{"): return try self.object(depth: depth)
        case UInt8(ascii: "["): return try self.array(depth: depth)
        case UInt8(ascii: "\""): return .string(try self.text())
        case UInt8(ascii: "t"): return try self.literal("true", .bool(true))
        case UInt8(ascii: "f"): return try self.literal("false", .bool(false))
        case UInt8(ascii: "n"): return try self.literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try self.number()
        default: throw self.fail("expected a value")
        }
    }

    private mutating func literal(_ text: String, _ value: JSONValue) throws(DomainError) -> JSONValue {
        guard self.bytes[self.position...].starts(with: text.utf8) else { throw self.fail("expected a value") }
        self.position += text.utf8.count
        return value
    }

    /// Whether the object has no member of this name yet. Compares names directly for up to 8 members, and uses a set for
    /// more.
    private static func isNew(_ name: String, among members: [JSONMember], _ names: inout Set<String>) -> Bool {
        guard members.count >= 8 else { return !members.contains { $0.name == name } }
        if names.isEmpty { names = Set(members.map(\.name)) }
        return names.insert(name).inserted
    }

    private mutating func object(depth: Int) throws(DomainError) -> JSONValue {
        self.position += 1
        var members: [JSONMember] = []
        var names: Set<String> = []
        self.skipSpace()
        if self.current == UInt8(ascii: "}") {
            self.position += 1
            return .object([])
        }
        while true {
            self.skipSpace()
            guard self.current == UInt8(ascii: "\"") else { throw self.fail("expected a member name in quotes") }
            let name = try self.text()
            guard Self.isNew(name, among: members, &names) else {
                throw self.fail("the member '\(Printable.text(name))' occurs twice")
            }
            self.skipSpace()
            guard self.current == UInt8(ascii: ":") else { throw self.fail("expected ':'") }
            self.position += 1
            self.skipSpace()
            let start = self.position
            members.append(JSONMember(name, try self.value(depth: depth + 1)))
            if depth == 0 { self.parts.append(start..<self.position) }
            if try self.isLast(closing: UInt8(ascii: "}")) { return .object(members) }
        }
    }

    private mutating func array(depth: Int) throws(DomainError) -> JSONValue {
        self.position += 1
        var elements: [JSONValue] = []
        self.skipSpace()
        if self.current == UInt8(ascii: "]") {
            self.position += 1
            return .array([])
        }
        while true {
            self.skipSpace()
            let start = self.position
            elements.append(try self.value(depth: depth + 1))
            if depth == 0 { self.parts.append(start..<self.position) }
            if try self.isLast(closing: UInt8(ascii: "]")) { return .array(elements) }
        }
    }

    private mutating func isLast(closing: UInt8) throws(DomainError) -> Bool {
        self.skipSpace()
        guard let byte = self.current, byte == closing || byte == UInt8(ascii: ",") else {
            throw self.fail("expected ',' or '\(Character(UnicodeScalar(closing)))'")
        }
        self.position += 1
        return byte == closing
    }

    private mutating func text() throws(DomainError) -> String {
        self.position += 1
        var result: [UInt8] = []
        while true {
            // Text without escapes is copied in one piece.
            let run = self.bytes[self.position...].prefix {
                $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
            }
            self.position += run.count
            switch self.current {
            case UInt8(ascii: "\""):
                self.position += 1
                guard !result.isEmpty else { return String(decoding: run, as: UTF8.self) }
                return String(decoding: result + run, as: UTF8.self)
            case UInt8(ascii: "\\"):
                self.position += 1
                result += run
                try self.escape(into: &result)
            case nil: throw self.fail("the text has no closing quote")
            default: throw self.fail("a control character must be escaped")
            }
        }
    }

    private mutating func escape(into result: inout [UInt8]) throws(DomainError) {
        guard let byte = self.current else { throw self.fail("the text has no closing quote") }
        self.position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(byte)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0c)
        case UInt8(ascii: "n"): result.append(0x0a)
        case UInt8(ascii: "r"): result.append(0x0d)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "u"):
            var code = try self.fourDigits()
            if (0xd800..<0xdc00).contains(code) {
                guard self.bytes[self.position...].starts(with: "\\u".utf8) else {
                    throw self.fail("half a surrogate pair")
                }
                self.position += 2
                let low = try self.fourDigits()
                guard (0xdc00..<0xe000).contains(low) else { throw self.fail("half a surrogate pair") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = UnicodeScalar(code) else { throw self.fail("half a surrogate pair") }
            result.append(contentsOf: String(Character(scalar)).utf8)
        default: throw self.fail("unknown escape")
        }
    }

    private mutating func fourDigits() throws(DomainError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = self.current, let digit = Hexadecimal.value(of: byte) else {
                throw self.fail("expected four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            self.position += 1
        }
        return code
    }

    private mutating func digits() throws(DomainError) {
        guard let byte = self.current, (0x30...0x39).contains(byte) else { throw self.fail("expected a digit") }
        while let byte = self.current, (0x30...0x39).contains(byte) { self.position += 1 }
    }

    private mutating func number() throws(DomainError) -> JSONValue {
        let start = self.position
        var isInteger = true
        if self.current == UInt8(ascii: "-") { self.position += 1 }
        if self.current == UInt8(ascii: "0") { self.position += 1 } else { try self.digits() }
        if self.current == UInt8(ascii: ".") {
            isInteger = false
            self.position += 1
            try self.digits()
        }
        if self.current == UInt8(ascii: "e") || self.current == UInt8(ascii: "E") {
            isInteger = false
            self.position += 1
            if self.current == UInt8(ascii: "+") || self.current == UInt8(ascii: "-") { self.position += 1 }
            try self.digits()
        }
        guard self.position - start <= 64 else { throw self.fail("the number has more than 64 characters") }
        let text = String(decoding: self.bytes[start..<self.position], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw self.fail("the number is out of range") }
        return .number(value)
    }
}

extension JSONValue {
    /// nil when the bytes are not valid JSON: for places where such bytes are an ordinary answer, not an error.
    package init?(ifValid bytes: [UInt8]) {
        do throws(DomainError) { self = try JSONParser.parse(bytes) } catch { return nil }
    }
}
