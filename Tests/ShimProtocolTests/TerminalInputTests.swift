import Domain
import Testing

@testable import ShimProtocol

@Suite("TerminalInput")
struct TerminalInputTests {
    @Test("text is a message frame, keys are a frame of names")
    func frames() throws {
        #expect(try TerminalInput(text: "hi").frame(key: [1]) == .message(key: [1], text: "hi"))
        #expect(try TerminalInput(keys: ["Up", "Enter"]).frame(key: [1]) == .keys(key: [1], names: ["Up", "Enter"]))
    }

    @Test("text with control characters and names that are not keys are refused before they are sent")
    func refused() {
        #expect(throws: DomainError.self) { try TerminalInput(text: "\u{1b}") }
        #expect(throws: DomainError.self) { try TerminalInput(keys: ["Nope"]) }
    }

    @Test("the audit digest of keys differs from that of the same words as text")
    func content() throws {
        #expect(try TerminalInput(text: "Up").content == Array("Up".utf8))
        #expect(try TerminalInput(keys: ["Up", "C-c"]).content == Array("keys Up C-c".utf8))
    }
}
