/// Distinguishes the value of a secret from what else stands after its name: a placeholder, a type, a word of prose, code.
struct SecretValue {
    /// How the value stands after its name.
    enum Notation {
        /// `NAME=value`
        case tight
        /// `name = value`, `name := value`
        case spaced
        /// `name: value`
        case colon
        /// `--name value`
        case flag
        /// `"name", "value"` and `name == "value"`
        case loose
    }

    let bytes: ArraySlice<UInt8>
    let isQuoted: Bool
    let notation: Notation
    let kind: SecretName.Kind
    /// True when the name has a last word that says nothing about the value.
    let isStrict: Bool
    /// The byte after the value, 0 at the end.
    let next: UInt8

    /// True when it must not be shown.
    var isSecret: Bool {
        guard let first = self.bytes.first, !self.isPlaceholder(first), !self.hasMarker else { return false }
        if self.kind == .random || self.isStrict || self.notation == .loose { return self.isRandom }
        let text = String(decoding: self.bytes.prefix(40), as: UTF8.self).lowercased()
        if Self.words.contains(text.trimmed) { return false }
        return self.isQuoted ? self.isQuotedSecret(text) : self.isBareSecret(text, first)
    }

    private func isPlaceholder(_ first: UInt8) -> Bool {
        let all = self.bytes
        let second = all.dropFirst().first ?? 0
        switch first {
        case UInt8(ascii: "<"), UInt8(ascii: "{"): return true
        case UInt8(ascii: "["): return true
        case UInt8(ascii: "$"):
            // A password's hash begins as `$2b$`; a variable ends where its name ends.
            if second == UInt8(ascii: "{") || second == UInt8(ascii: "(") { return true }
            let name = all.dropFirst().prefix(while: ByteSet.word.contains)
            guard let begin = name.first, !ByteSet.digits.contains(begin) else { return false }
            return name.endIndex == all.endIndex || all[name.endIndex] != first
        case UInt8(ascii: "%"):
            return second == UInt8(ascii: "(") || second == UInt8(ascii: "s") || second == UInt8(ascii: "{")
                || second == UInt8(ascii: "@") || second == UInt8(ascii: "d") || second == UInt8(ascii: "v")
                || (all.last == first && all.count > 2)
        default: break
        }
        if all.allSatisfy({ $0 == first }) { return all.count > 1 || !ByteSet.alnum.contains(first) }
        if first == UInt8(ascii: "*"), second == first { return true }
        if all.starts(with: "\u{2026}".utf8) || all.starts(with: "\u{2022}".utf8) || all.starts(with: "...".utf8) {
            return true
        }
        if all.starts(with: "\\u003c".utf8) { return true }
        return all.allSatisfy { ByteSet.capitals.contains($0) || $0 == UInt8(ascii: "_") } && all.count <= 24
            && !(self.notation == .tight && self.kind == .password && !all.contains(UInt8(ascii: "_")) && all.count > 8)
    }

    private func isQuotedSecret(_ text: String) -> Bool {
        if self.hasMark || text.contains("${") || text.contains("{{") { return false }
        if self.bytes.contains(UInt8(ascii: " ")) {
            let words = text.split(separator: " ")
            let isProse = words.contains { Self.prose.contains(String($0).trimmed) }
            let last = self.bytes.last ?? 0
            return !isProse && !":.?!".utf8.contains(last) && !text.contains("%s") && !text.contains("{}")
                && !text.contains("\\(")
        }
        if text.contains("\\(") { return false }
        return !self.isName
    }

    private func isBareSecret(_ text: String, _ first: UInt8) -> Bool {
        if self.hasMark { return false }
        if "(]&*|,;:)=>!~.".utf8.contains(first), self.notation != .tight || self.bytes.count < 6 { return false }
        if self.isCode { return false }
        if self.bytes.allSatisfy(ByteSet.digits.contains) {
            return self.bytes.count >= (self.kind == .password && self.notation != .colon ? 4 : 8)
        }
        if self.bytes.allSatisfy({ ByteSet.word.contains($0) && !ByteSet.digits.contains($0) }) {
            guard self.notation == .tight || self.notation == .flag else { return self.isRandom }
            if self.isName || self.bytes.count < 3 { return false }
            return self.notation == .flag ? !Self.prose.contains(text) : !self.isArgument
        }
        if self.notation == .tight || self.notation == .flag { return !(self.isName && self.isArgument) }
        guard self.bytes.count >= 6, !self.isName else { return false }
        let hasDigit = self.bytes.contains(where: ByteSet.digits.contains)
        if !hasDigit, self.bytes.allSatisfy({ ByteSet.url.contains($0) || $0 == UInt8(ascii: ".") }) {
            return self.kind == .password && self.bytes.count { $0 == UInt8(ascii: "-") } >= 2
        }
        return hasDigit || self.bytes.contains { !ByteSet.dotted.contains($0) && !",;?!".utf8.contains($0) }
    }

    /// An argument of a call: `f(password=value)`.
    private var isArgument: Bool { ",);".utf8.contains(self.next) }

    /// A call, a member or an element: `getpass()`, `self.password`, `args[1]`, `Secret<String>`.
    private var isCode: Bool {
        guard let first = self.bytes.first, ByteSet.letters.contains(first) || first == UInt8(ascii: "_") else {
            return false
        }
        let name = self.bytes.prefix { ByteSet.dotted.contains($0) || ":?!>".utf8.contains($0) }
        let after = name.endIndex < self.bytes.endIndex ? self.bytes[name.endIndex] : self.next
        if "([<".utf8.contains(after) {
            // A password may have brackets; a name before them has no more than a few digits.
            return name.count { ByteSet.digits.contains($0) } <= 2
        }
        let hasPath = name.contains(UInt8(ascii: ".")) || name.contains(UInt8(ascii: ":"))
        return name.count == self.bytes.count && hasPath && !name.contains(where: ByteSet.digits.contains)
            && name.last != UInt8(ascii: ".")
    }

    /// A name of a secret, and no digits but at its end: `auth_token`, `newPassword2`.
    private var isName: Bool {
        let letters = self.bytes.prefix { ByteSet.url.contains($0) && !ByteSet.digits.contains($0) }
        guard self.bytes.count - letters.count <= 1 else { return false }
        let lower = self.bytes.prefix(64).map { $0 | 0x20 }
        return Self.names.contains { name in
            lower.count >= name.count
                && (0...lower.count - name.count).contains { lower[$0..<$0 + name.count].elementsEqual(name) }
        }
    }

    /// True when a secret within the value was replaced before.
    private var hasMarker: Bool { self.bytes.firstRange(of: Self.marker) != nil }

    /// True for what programs and examples write in the place of a value.
    private var hasMark: Bool {
        Self.marks.contains { mark in
            self.bytes.count >= mark.count && zip(self.bytes, mark).allSatisfy { $0 | 0x20 == $1 | 0x20 }
        }
    }

    /// Digits among letters, or letters of both cases in no order that words have, and not few.
    private var isRandom: Bool {
        guard self.bytes.count >= 8, !self.bytes.contains(UInt8(ascii: " ")), !self.isCode else { return false }
        let digits = self.bytes.count(where: ByteSet.digits.contains)
        let letters = self.bytes.count(where: ByteSet.letters.contains)
        if digits > 0 { return letters > 0 && (digits > 1 || self.bytes.count >= 12) }
        var changes = 0
        for (left, right) in zip(self.bytes, self.bytes.dropFirst())
        where ByteSet.small.contains(left) && ByteSet.capitals.contains(right) { changes += 1 }
        return self.bytes.count >= 16 && changes >= 4
    }

    private static let marker = Array("[redacted:".utf8)
    private static let names = ["password", "passwd", "token", "secret", "key", "pass", "pwd", "credential", "auth"]
        .map { Array($0.utf8) }
    private static let marks = [
        "your", "env:", "file:", "vault:", "op://", "os.environ", "process.env", "[redacted", "redacted", "example",
        "insert-", "replace", "enter-",
    ].map { Array($0.utf8) }
    /// Literals, types and states.
    private static let words: Set<String> = [
        "null", "nil", "none", "undefined", "true", "false", "yes", "no", "on", "off", "string", "str", "number", "int",
        "integer", "bool", "boolean", "any", "unknown", "bytes", "data", "object", "text", "char", "varchar", "void",
        "self", "this", "required", "optional", "invalid", "valid", "expired", "missing", "incorrect", "wrong", "ok",
        "failed", "denied", "redacted", "hidden", "masked", "secret", "empty", "default", "unset", "set", "changed",
        "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64", "base64",
        "sha256", "sha512", "utf8", "utf-8", "bcrypt", "argon2id", "hs256", "rs256", "es256", "string?", "input",
        "prompt", "value", "return", "await", "new", "if", "function", "async", "n/a", "todo", "tbd", "never", "always",
    ]
    private static let prose: Set<String> = [
        "the", "a", "an", "is", "are", "was", "must", "should", "may", "can", "cannot", "to", "of", "for", "and", "or",
        "with", "without", "your", "you", "not", "be", "has", "have", "in", "on", "at", "from", "by", "as", "if",
        "when",
        "this", "that", "it", "will", "please", "enter", "use", "used", "no", "invalid", "required", "option", "flag",
        "instead", "which", "than", "then", "too", "via", "into", "file", "authentication", "does", "do",
    ]
}

extension String {
    fileprivate var trimmed: String {
        String(self.drop { ",;:.?!()".contains($0) }.reversed().drop { ",;:.?!()".contains($0) }.reversed())
    }
}

extension SecretValue {
    /// True for a placeholder in the place of a password in a URL.
    var isTemplate: Bool {
        guard let first = self.bytes.first else { return true }
        return self.isPlaceholder(first) || self.bytes.contains(UInt8(ascii: "{"))
    }
}
