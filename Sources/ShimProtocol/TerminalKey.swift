package import Domain

/// A key of the keyboard by its name: `Escape`, `Enter`, `Up`, `F5`, a single character, or one of these after modifiers:
/// `C-c` (Control), `M-x` (Alt), `S-Tab` (Shift), `C-M-Left`. Its bytes are those that xterm sends.
package struct TerminalKey: Hashable, Sendable, CustomStringConvertible {
    /// How a key without modifiers is sent.
    private enum Base: Hashable, Sendable {
        /// `CSI` and this letter; `SS3` in application cursor mode.
        case cursor(UInt8)
        /// `SS3` and this letter.
        case function(UInt8)
        /// `CSI`, this number and a tilde.
        case numbered(Int)
        /// The character itself.
        case character(Unicode.Scalar)
    }

    private struct Modifiers: OptionSet, Hashable, Sendable {
        let rawValue: Int

        static let shift = Modifiers(rawValue: 1)
        static let alt = Modifiers(rawValue: 2)
        static let control = Modifiers(rawValue: 4)
    }

    /// The name as it was given.
    package let name: String
    private let base: Base
    private let modifiers: Modifiers

    /// Keys in one message.
    package static let limit = 64

    package var description: String { self.name }

    /// Throws `DomainError` for a name that is not a key, and for a combination that a terminal cannot send.
    package init(_ name: String) throws(DomainError) {
        var modifiers: Modifiers = []
        var rest = name[...]
        while rest.count > 2, rest.dropFirst().first == "-", let modifier = Self.modifier(rest.first) {
            modifiers.insert(modifier)
            rest = rest.dropFirst(2)
        }
        guard let base = Self.base(String(rest)) else { throw Self.unknown(name) }
        self.name = name
        self.base = base
        self.modifiers = modifiers
        guard !self.bytes(isApplicationCursor: false).isEmpty else {
            throw DomainError.invalidValue(
                "a terminal cannot send the key '\(Printable.text(name, limit: 40))'; expected C- with a letter or one of @[\\]^_?, M- with a character, or S-, C-, M- with an arrow or function key"
            )
        }
    }

    /// The keys of these names. Throws `DomainError` for the first that is not a key, for none, and for more than `limit`.
    package static func list(_ names: [String]) throws(DomainError) -> [TerminalKey] {
        guard (1...self.limit).contains(names.count) else {
            throw DomainError.invalidValue("\(names.count) keys: expected 1 to \(self.limit)")
        }
        var keys: [TerminalKey] = []
        for name in names { keys.append(try TerminalKey(name)) }
        return keys
    }

    /// What a terminal sends for the key; arrows, Home and End depend on the mode of the cursor keys (DECCKM).
    package func bytes(isApplicationCursor: Bool) -> [UInt8] {
        // xterm's parameter for modifiers.
        let parameter = 1 + self.modifiers.rawValue
        switch self.base {
        case .cursor(let letter):
            if !self.modifiers.isEmpty { return Array("\u{1b}[1;\(parameter)".utf8) + [letter] }
            return [0x1B, isApplicationCursor ? UInt8(ascii: "O") : UInt8(ascii: "["), letter]
        case .function(let letter):
            if !self.modifiers.isEmpty { return Array("\u{1b}[1;\(parameter)".utf8) + [letter] }
            return [0x1B, UInt8(ascii: "O"), letter]
        case .numbered(let number):
            return Array("\u{1b}[\(number)\(self.modifiers.isEmpty ? "" : ";\(parameter)")~".utf8)
        case .character(let scalar): return self.bytes(of: scalar)
        }
    }

    /// What the kernel echoes for these bytes where a program left its echo on: controls as `^X`.
    package static func echo(of bytes: [UInt8]) -> [UInt8] {
        bytes.flatMap { byte -> [UInt8] in
            byte < 0x20 || byte == 0x7F ? [UInt8(ascii: "^"), byte ^ 0x40] : [byte]
        }
    }

    // MARK: - Encoding

    private func bytes(of scalar: Unicode.Scalar) -> [UInt8] {
        let prefix: [UInt8] = self.modifiers.contains(.alt) ? [0x1B] : []
        if self.modifiers.contains(.shift) {
            guard scalar == "\t", !self.modifiers.contains(.control) else { return [] }
            return prefix + Array("\u{1b}[Z".utf8)
        }
        guard self.modifiers.contains(.control) else { return prefix + Array(String(scalar).utf8) }
        return Self.control(scalar).map { prefix + [$0] } ?? []
    }

    /// The control character that the Control key makes of a character; nil where there is none.
    private static func control(_ scalar: Unicode.Scalar) -> UInt8? {
        switch scalar {
        case "a"..."z", "A"..."Z", "@", "[", "\\", "]", "^", "_": UInt8(truncatingIfNeeded: scalar.value) & 0x1F
        case " ": 0
        case "?": 0x7F
        case "\u{7f}": 0x08
        default: nil
        }
    }

    // MARK: - Names

    private static func modifier(_ letter: Character?) -> Modifiers? {
        switch letter {
        case "C": .control
        case "M": .alt
        case "S": .shift
        default: nil
        }
    }

    private static func base(_ name: String) -> Base? {
        if let named = self.named[name] { return named }
        guard name.unicodeScalars.count == 1, let scalar = name.unicodeScalars.first,
            TypedText.controlCharacter(in: name) == nil, scalar != "\n", scalar != "\t"
        else { return nil }
        return .character(scalar)
    }

    private static let named: [String: Base] = [
        "Escape": .character("\u{1b}"), "Enter": .character("\r"), "Tab": .character("\t"),
        "Backspace": .character("\u{7f}"), "Space": .character(" "),
        "Up": .cursor(UInt8(ascii: "A")), "Down": .cursor(UInt8(ascii: "B")), "Right": .cursor(UInt8(ascii: "C")),
        "Left": .cursor(UInt8(ascii: "D")), "Home": .cursor(UInt8(ascii: "H")), "End": .cursor(UInt8(ascii: "F")),
        "Insert": .numbered(2), "Delete": .numbered(3), "PageUp": .numbered(5), "PageDown": .numbered(6),
        "F1": .function(UInt8(ascii: "P")), "F2": .function(UInt8(ascii: "Q")), "F3": .function(UInt8(ascii: "R")),
        "F4": .function(UInt8(ascii: "S")), "F5": .numbered(15), "F6": .numbered(17), "F7": .numbered(18),
        "F8": .numbered(19), "F9": .numbered(20), "F10": .numbered(21), "F11": .numbered(23), "F12": .numbered(24),
    ]

    private static func unknown(_ name: String) -> DomainError {
        DomainError.invalidValue(
            "unknown key '\(Printable.text(name, limit: 40))'; expected Escape, Enter, Tab, Space, Backspace, Delete, Insert, Up, Down, Left, Right, Home, End, PageUp, PageDown, F1 to F12, one character, or one of these after C-, M- or S-"
        )
    }
}
