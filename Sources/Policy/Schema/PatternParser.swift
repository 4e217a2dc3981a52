internal import Domain

/// Reads the part of ECMA-262's regular expressions (with the flag `u`, as JSON Schema asks for) that `SchemaPattern`
/// can run: literals, `.`, classes, `\d \w \s` and their opposites, escapes of characters, `^`, `$`, groups, `|` and
/// the quantifiers. Whether a quantifier is lazy makes no difference to whether there is a match.
struct PatternParser {
    private static let groupLimit = 32
    /// What stands for itself only after a backslash.
    private static let syntax = Set("^$\\.*+?()[]{}|/".unicodeScalars)

    private let scalars: [UnicodeScalar]
    private var position = 0
    private var groups = 0

    private init(_ text: String) { self.scalars = Array(text.unicodeScalars) }

    /// Throws `DomainError` that names the offset and what was expected.
    static func parse(_ text: String) throws(DomainError) -> PatternTree {
        var parser = PatternParser(text)
        let tree = try parser.choice()
        guard parser.current == nil else { throw parser.fail("')' closes no group") }
        return tree
    }

    private var current: UnicodeScalar? {
        self.position < self.scalars.count ? self.scalars[self.position] : nil
    }

    private func fail(_ problem: String) -> DomainError {
        .invalidValue("\(problem), at character \(self.position)")
    }

    /// Skips the scalar when it is the next one.
    private mutating func skip(_ scalar: UnicodeScalar) -> Bool {
        guard self.current == scalar else { return false }
        self.position += 1
        return true
    }

    private mutating func choice() throws(DomainError) -> PatternTree {
        var parts = [try self.sequence()]
        while self.skip("|") { parts.append(try self.sequence()) }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence() throws(DomainError) -> PatternTree {
        var parts: [PatternTree] = []
        while let scalar = self.current, scalar != "|", scalar != ")" {
            let part = try self.atom()
            parts.append(try self.quantified(part))
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func atom() throws(DomainError) -> PatternTree {
        guard let scalar = self.current else { throw self.fail("expected a character") }
        self.position += 1
        switch scalar {
        case "^": return .start
        case "$": return .end
        case ".": return .set(.anyButLineEnds)
        case "[": return .set(try self.characterClass())
        case "(": return try self.group()
        case "\\": return .set(try self.escape(inClass: false))
        case "*", "+", "?": throw self.fail("there is nothing to repeat before '\(scalar)'")
        case "{", "}", "]": throw self.fail("'\(scalar)' that stands for itself must be written '\\\(scalar)'")
        default: return .set(ScalarSet(scalar.value))
        }
    }

    private mutating func group() throws(DomainError) -> PatternTree {
        if self.skip("?") {
            guard self.skip(":") else { throw self.fail("of the groups with '(?' only '(?:' is supported") }
        }
        guard self.groups < Self.groupLimit else {
            throw self.fail("groups are nested deeper than \(Self.groupLimit)")
        }
        self.groups += 1
        defer { self.groups -= 1 }
        let tree = try self.choice()
        guard self.skip(")") else { throw self.fail("a group has no ')'") }
        // In a sequence of its own, so that a quantifier may follow an assertion in a group.
        return .sequence([tree])
    }

    private mutating func quantified(_ part: PatternTree) throws(DomainError) -> PatternTree {
        let minimum: Int
        let maximum: Int?
        if self.skip("*") {
            (minimum, maximum) = (0, nil)
        } else if self.skip("+") {
            (minimum, maximum) = (1, nil)
        } else if self.skip("?") {
            (minimum, maximum) = (0, 1)
        } else if self.skip("{") {
            (minimum, maximum) = try self.counts()
        } else {
            return part
        }
        _ = self.skip("?")
        switch part {
        case .start, .end: throw self.fail("'^' and '$' cannot be repeated")
        case .set, .sequence, .choice, .repeated: return .repeated(part, minimum: minimum, maximum: maximum)
        }
    }

    private mutating func counts() throws(DomainError) -> (Int, Int?) {
        let minimum = try self.count()
        guard self.skip(",") else {
            guard self.skip("}") else { throw self.fail("expected '}' after a number of repetitions") }
            return (minimum, minimum)
        }
        if self.skip("}") { return (minimum, nil) }
        let maximum = try self.count()
        guard self.skip("}") else { throw self.fail("expected '}' after a number of repetitions") }
        guard minimum <= maximum else { throw self.fail("the numbers of repetitions are out of order") }
        return (minimum, maximum)
    }

    private mutating func count() throws(DomainError) -> Int {
        var count: Int?
        while let scalar = self.current, ("0"..."9").contains(scalar) {
            self.position += 1
            let number = (count ?? 0) * 10 + Int(scalar.value - 0x30)
            guard number <= SchemaPattern.stateLimit else {
                throw self.fail("more than \(SchemaPattern.stateLimit) repetitions are not supported")
            }
            count = number
        }
        guard let count else { throw self.fail("expected a number of repetitions") }
        return count
    }

    private mutating func characterClass() throws(DomainError) -> ScalarSet {
        let isInverted = self.skip("^")
        var ranges: [ClosedRange<UInt32>] = []
        while !self.skip("]") {
            let first = try self.classAtom()
            // A '-' at the end stands for itself.
            let isRange =
                self.current == "-" && self.position + 1 < self.scalars.count
                && self.scalars[self.position + 1] != "]"
            guard isRange else {
                ranges += first.ranges
                continue
            }
            self.position += 1
            guard let lower = first.only, let upper = try self.classAtom().only, lower <= upper else {
                throw self.fail("a range in a class must go from a character to a later one")
            }
            ranges.append(lower...upper)
        }
        let set = ScalarSet(ranges)
        return isInverted ? set.inverted : set
    }

    private mutating func classAtom() throws(DomainError) -> ScalarSet {
        guard let scalar = self.current else { throw self.fail("a class has no ']'") }
        self.position += 1
        return scalar == "\\" ? try self.escape(inClass: true) : ScalarSet(scalar.value)
    }

    /// What follows a backslash.
    private mutating func escape(inClass: Bool) throws(DomainError) -> ScalarSet {
        guard let scalar = self.current else { throw self.fail("nothing follows a backslash") }
        self.position += 1
        switch scalar {
        case "d": return .digits
        case "D": return ScalarSet.digits.inverted
        case "w": return .wordCharacters
        case "W": return ScalarSet.wordCharacters.inverted
        case "s": return .spaces
        case "S": return ScalarSet.spaces.inverted
        case "t": return ScalarSet(0x09)
        case "n": return ScalarSet(0x0a)
        case "v": return ScalarSet(0x0b)
        case "f": return ScalarSet(0x0c)
        case "r": return ScalarSet(0x0d)
        case "u": return ScalarSet(try self.codePoint())
        case "-" where inClass: return ScalarSet(scalar.value)
        case _ where Self.syntax.contains(scalar): return ScalarSet(scalar.value)
        default: throw self.fail("the escape '\\\(Printable.text(String(scalar)))' is not supported")
        }
    }

    /// Four digits, two such for what UTF-16 writes as a pair, or up to six in braces.
    private mutating func codePoint() throws(DomainError) -> UInt32 {
        var code: UInt32
        if self.skip("{") {
            let end = self.scalars[self.position...].firstIndex(of: "}") ?? self.position
            guard (1...6).contains(end - self.position) else {
                throw self.fail("expected one to six hexadecimal digits and '}'")
            }
            code = try self.digits(end - self.position)
            self.position += 1
        } else {
            code = try self.digits(4)
            if (0xd800..<0xdc00).contains(code), self.skip("\\"), self.skip("u") {
                let low = try self.digits(4)
                guard (0xdc00..<0xe000).contains(low) else { throw self.fail("half a surrogate pair") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
        }
        guard UnicodeScalar(code) != nil else { throw self.fail("an escape is no code point") }
        return code
    }

    private mutating func digits(_ count: Int) throws(DomainError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<count {
            guard let scalar = self.current, let byte = UInt8(exactly: scalar.value),
                let digit = Hexadecimal.value(of: byte)
            else { throw self.fail("expected \(count) hexadecimal digits") }
            code = code << 4 | UInt32(digit)
            self.position += 1
        }
        return code
    }
}
