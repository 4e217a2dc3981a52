import Domain
import Testing

@testable import ShimProtocol

@Suite("TerminalKey")
struct TerminalKeyTests {
    private static func text(_ name: String, isApplicationCursor: Bool = false) throws -> String {
        String(decoding: try TerminalKey(name).bytes(isApplicationCursor: isApplicationCursor), as: UTF8.self)
    }

    @Test(
        "a named key is what xterm sends",
        arguments: [
            ("Escape", "\u{1b}"), ("Enter", "\r"), ("Tab", "\t"), ("Space", " "), ("Backspace", "\u{7f}"),
            ("Up", "\u{1b}[A"), ("Down", "\u{1b}[B"), ("Right", "\u{1b}[C"), ("Left", "\u{1b}[D"),
            ("Home", "\u{1b}[H"), ("End", "\u{1b}[F"), ("Insert", "\u{1b}[2~"), ("Delete", "\u{1b}[3~"),
            ("PageUp", "\u{1b}[5~"), ("PageDown", "\u{1b}[6~"), ("F1", "\u{1b}OP"), ("F4", "\u{1b}OS"),
            ("F5", "\u{1b}[15~"), ("F6", "\u{1b}[17~"), ("F10", "\u{1b}[21~"), ("F11", "\u{1b}[23~"),
            ("F12", "\u{1b}[24~"),
        ])
    func named(name: String, expected: String) throws {
        #expect(try Self.text(name) == expected)
    }

    @Test(
        "in application cursor mode arrows, Home and End are SS3 sequences", arguments: ["Up", "Left", "Home", "End"])
    func applicationCursor(name: String) throws {
        #expect(
            try Self.text(name, isApplicationCursor: true)
                == Self.text(name).replacing("\u{1b}[", with: "\u{1b}O"))
    }

    @Test("application cursor mode changes no other key", arguments: ["F5", "Delete", "Enter", "C-Up", "a"])
    func otherKeys(name: String) throws {
        #expect(try Self.text(name, isApplicationCursor: true) == Self.text(name))
    }

    @Test(
        "Control and a character is its control character",
        arguments: [
            ("C-a", 1), ("C-c", 3), ("C-C", 3), ("C-z", 26), ("C-Space", 0), ("C-@", 0), ("C-[", 27), ("C-\\", 28),
            ("C-]", 29), ("C-^", 30), ("C-_", 31), ("C-?", 127), ("C-Backspace", 8),
        ] as [(String, UInt8)])
    func control(name: String, byte: UInt8) throws {
        #expect(try TerminalKey(name).bytes(isApplicationCursor: false) == [byte])
    }

    @Test(
        "Alt puts Escape before the key",
        arguments: [("M-x", "\u{1b}x"), ("M-Enter", "\u{1b}\r"), ("C-M-a", "\u{1b}\u{01}"), ("M-é", "\u{1b}é")])
    func alt(name: String, expected: String) throws {
        #expect(try Self.text(name) == expected)
    }

    @Test(
        "modifiers of arrows and function keys are xterm's parameter",
        arguments: [
            ("S-Up", "\u{1b}[1;2A"), ("M-Left", "\u{1b}[1;3D"), ("C-Right", "\u{1b}[1;5C"),
            ("C-S-End", "\u{1b}[1;6F"), ("C-F1", "\u{1b}[1;5P"), ("S-F5", "\u{1b}[15;2~"),
            ("C-M-S-Delete", "\u{1b}[3;8~"),
        ])
    func modified(name: String, expected: String) throws {
        #expect(try Self.text(name) == expected)
    }

    @Test("Shift and Tab is the back tab")
    func backTab() throws {
        #expect(try Self.text("S-Tab") == "\u{1b}[Z")
    }

    @Test("a single character is a key", arguments: ["y", "-", "1", "é", "C"])
    func character(name: String) throws {
        #expect(try Self.text(name) == name)
    }

    @Test(
        "what is not a key is refused, and named",
        arguments: ["", "Esc", "enter", "ab", "\u{1b}", "\r", "\t", "F13", "X-a", "C-"])
    func unknown(name: String) {
        #expect(throws: DomainError.self) { try TerminalKey(name) }
    }

    @Test(
        "a combination that a terminal cannot send is refused", arguments: ["C-1", "C-Enter", "S-a", "C-é", "S-Enter"])
    func impossible(name: String) {
        #expect(throws: DomainError.self) { try TerminalKey(name) }
    }

    @Test("a message has at least one key and at most the limit")
    func list() throws {
        #expect(throws: DomainError.self) { try TerminalKey.list([]) }
        #expect(throws: DomainError.self) {
            try TerminalKey.list([String](repeating: "a", count: TerminalKey.limit + 1))
        }
        #expect(try TerminalKey.list(["Up", "C-c"]).map(\.name) == ["Up", "C-c"])
    }

    @Test("the kernel's echo of a key shows controls with a caret")
    func echo() {
        #expect(TerminalKey.echo(of: [0x03]) == Array("^C".utf8))
        #expect(TerminalKey.echo(of: [0x1B, 0x5B, 0x42]) == Array("^[[B".utf8))
        #expect(TerminalKey.echo(of: [0x7F]) == Array("^?".utf8))
    }
}
