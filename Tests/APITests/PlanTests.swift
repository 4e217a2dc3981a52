import Domain
import Testing

@testable import API

@Suite("Plan")
struct PlanTests {
    /// A plan of steps, each with those it depends on.
    private static func plan(_ steps: [(String, [String])]) throws -> Plan {
        let list: [JSONValue] = steps.map { id, dependencies in
            [
                "id": .string(id), "action": "queue.noop", "params": [:],
                "depends_on": .array(dependencies.map { .string($0) }),
            ]
        }
        return try Self.plan(["steps": .array(list)])
    }

    private static func plan(_ value: JSONValue) throws -> Plan {
        var body = BodyReader(try JSONParser.document(value.bytes))
        return try Plan(&body)
    }

    @Test("each step comes after those it depends on, and the others keep their order")
    func order() throws {
        let plan = try Self.plan([("d", ["b", "c"]), ("b", ["a"]), ("c", ["a"]), ("a", []), ("e", [])])
        #expect(plan.order == ["a", "e", "b", "c", "d"])
    }

    @Test("a circle is a conflict, of one step or of several")
    func circles() {
        #expect(code { _ = try Self.plan([("a", ["a"])]) } == .conflict)
        #expect(code { _ = try Self.plan([("a", ["c"]), ("b", ["a"]), ("c", ["b"]), ("d", [])]) } == .conflict)
    }

    @Test("two steps with one id, a dependency that occurs twice, and one on no step are conflicts")
    func conflicts() {
        #expect(code { _ = try Self.plan([("a", []), ("a", [])]) } == .conflict)
        #expect(code { _ = try Self.plan([("a", []), ("b", ["a", "a"])]) } == .conflict)
        #expect(code { _ = try Self.plan([("a", ["z"])]) } == .conflict)
    }

    @Test("a plan has 1 to 100 steps")
    func size() throws {
        #expect(code { _ = try Self.plan([]) } == .invalid)
        #expect(try Self.plan((0..<100).map { ("s\($0)", []) }).steps.count == 100)
        #expect(code { _ = try Self.plan((0..<101).map { ("s\($0)", []) }) } == .invalid)
    }

    @Test("a step that is not one, or has a member that is not known, is invalid")
    func malformed() {
        #expect(code { _ = try Self.plan(["steps": [1]]) } == .invalid)
        #expect(code { _ = try Self.plan(["steps": 1]) } == .invalid)
        let step: JSONValue = ["id": "a", "action": "queue.noop", "params": [:], "sudo": true]
        #expect(code { _ = try Self.plan(["steps": [step]]) } == .invalid)
    }

    @Test("the params of all steps are digested as the client wrote them")
    func source() throws {
        let text =
            #"{"steps":[{"id":"a","action":"queue.noop","params":{"x": 1.50}},{"id":"b","action":"queue.noop","params":{}}]}"#
        var body = BodyReader(try JSONParser.document(Array(text.utf8)))
        #expect(String(decoding: try Plan(&body).source, as: UTF8.self) == #"[{"x": 1.50},{}]"#)
    }
}
