import Domain
import ModelUsage
import ScriptedModel
import Testing

@Suite("The script of a model")
struct ModelScriptTests {
    private static let shell = #"{"name":"Bash","input_schema":{"properties":{"command":{"type":"string"}}}}"#

    private static func request(_ text: String, result: Bool = false, tools: String = shell) throws -> ScriptedRequest {
        let turn = #"{"role":"user","content":"\#(text)"}"#
        let answered =
            #"{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"Bash","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"ok"}]}"#
        let body =
            #"{"model":"m","metadata":{"user_id":"u"},"messages":[\#(result ? turn + "," + answered : turn)],"tools":[\#(tools)]}"#
        return try #require(ScriptedRequest(.anthropic, body: Array(body.utf8)))
    }

    @Test("the first call gets a tool call, and the one with its result a text")
    func plain() throws {
        var script = ModelScript()
        #expect(script.next(try Self.request("Write.")).step == .tool)
        #expect(script.next(try Self.request("Write.", result: true)).step == .text)
        #expect(script.next(try Self.request("Write.", tools: "")).step == .text)
    }

    @Test("a marker interrupts once, and what the interruption hides is the plain answer")
    func interruptions() throws {
        var script = ModelScript()
        let request = try Self.request("MARK:slow MARK:throttle Write.")
        var steps: [ModelScript.Step] = []
        for _ in 0..<3 {
            let (step, plain) = script.next(request)
            steps.append(step)
            #expect(plain == .tool)
        }
        #expect(steps == [.throttle, .slow, .tool])
    }

    @Test("a spent budget and a text stay for the whole conversation, also where no tool is offered")
    func lasting() throws {
        var script = ModelScript()
        for tools in [Self.shell, ""] {
            for _ in 0..<2 {
                #expect(script.next(try Self.request("MARK:budget Write.", tools: tools)).step == .budget)
                #expect(script.next(try Self.request("MARK:text Write.", tools: tools)).step == .text)
            }
        }
    }
}
