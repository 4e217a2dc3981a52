import Domain
import Testing

@testable import ShimProtocol

@Suite("TypedText")
struct TypedTextTests {
    @Test(
        "a text with a control character is refused, and the character is named",
        arguments: [
            ("\u{1b}", "ESC (U+001B)"), ("a\u{03}b", "ETX (U+0003)"), ("a\rb", "CR (U+000D)"),
            ("a\r\nb", "CR (U+000D)"), ("\u{7f}", "DEL (U+007F)"), ("a\u{9b}", "U+009B"), ("\0", "NUL (U+0000)"),
            ("\u{1b}[201~", "ESC (U+001B)"),
        ])
    func refused(text: String, name: String) {
        #expect(TypedText.controlCharacter(in: text) == name)
        #expect {
            try TypedText.checked(text)
        } throws: { error in
            (error as? DomainError)?.message.contains(name) == true
        }
    }

    @Test("newlines, tabs and every other character are typed as they are", arguments: ["a\nb\tc", "é😀", " ", "\n"])
    func accepted(text: String) throws {
        #expect(try TypedText.checked(text) == Array(text.utf8))
    }

    @Test("an empty text is refused, and names the way to press Enter")
    func empty() {
        #expect {
            try TypedText.checked("")
        } throws: { error in
            (error as? DomainError)?.message.contains("the key Enter") == true
        }
    }

    @Test("text and its Enter are two writes")
    func twoWrites() {
        #expect(TypedText.chunks(Array("a\nb".utf8), isPasteMarked: false) == [Array("a\rb".utf8), [0x0D]])
    }

    @Test("the end of a marked paste and its Enter are two writes, and newlines in it stay newlines")
    func markedPaste() {
        #expect(
            TypedText.chunks(Array("a\nb".utf8), isPasteMarked: true)
                == [Array("\u{1b}[200~a\nb\u{1b}[201~".utf8), [0x0D]])
    }

    @Test("the longest line is found between newlines and carriage returns")
    func longestLine() {
        #expect(TypedText.longestLine(of: Array("ab\rabc\n".utf8)) == 3)
        #expect(TypedText.longestLine(of: []) == 0)
    }
}
