import ShimProtocol
import Testing

@testable import API

@Suite("TerminalMessage")
struct TerminalMessageTests {
    private static let key = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"

    /// The code that the message is refused with and the id that the answer names.
    private static func refusal(_ text: String) -> (code: Problem.Code?, name: String?) {
        var name: String?
        do {
            _ = try TerminalMessage(Array(text.utf8), name: &name)
            return (nil, name)
        } catch let problem as Problem {
            return (problem.code, name)
        } catch {
            return (.invalid, name)
        }
    }

    @Test("a message has a text, an id, and the stage that it waits for, which is written unless named")
    func message() throws {
        var name: String?
        let text = #"{"type":"input","text":"ls","message_id":"\#(Self.key)"}"#
        let message = try TerminalMessage(Array(text.utf8), name: &name)
        #expect(message.input.content == Array("ls".utf8) && message.until == .written && name == Self.key)
    }

    @Test("what is not one JSON object is malformed", arguments: ["", "[]", "1", "{", #"{"a":1,"a":2}"#, "{} {}"])
    func malformed(text: String) { #expect(Self.refusal(text).code == .malformed) }

    @Test(
        "an object that is not a message is invalid",
        arguments: [
            "{}", #"{"type":"nothing"}"#, #"{"type":"input"}"#, #"{"type":"input","message_id":"x","text":"a"}"#,
            #"{"type":"input","message_id":"1b4e28ba-2fa1-41d2-883f-0016d3cca427"}"#,
            #"{"type":"input","message_id":"1b4e28ba-2fa1-41d2-883f-0016d3cca427","text":1}"#,
            #"{"type":"input","message_id":"1b4e28ba-2fa1-41d2-883f-0016d3cca427","text":"a","more":1}"#,
            #"{"type":"input","message_id":"1b4e28ba-2fa1-41d2-883f-0016d3cca427","text":"a","until":"refused"}"#,
        ])
    func invalid(text: String) { #expect(Self.refusal(text).code == .invalid) }

    @Test("the answer to a message that is refused names its id as soon as it is known")
    func named() {
        #expect(Self.refusal(#"{"type":"x","message_id":"\#(Self.key)"}"#).name == Self.key)
        #expect(Self.refusal(#"{"type":"x"}"#).name == nil)
    }

    @Test("every stage but refusal can be waited for", arguments: ["queued", "written", "consumed", "answered"])
    func stages(name: String) throws { #expect(try TerminalMessage.stage(name).name == name) }
}
