import Domain
import Intake
import Jobs
import Testing

@Suite("RequestDraft")
struct RequestDraftTests {
    private static let id = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
    /// 2026-11-30T00:00:00Z
    private static let now: UInt64 = 1_795_996_800_000

    private func draft(_ change: (inout RequestDraft) -> Void = { _ in }) -> RequestDraft {
        var draft = RequestDraft(action: "queue.noop", params: Array("{}".utf8), requestID: Self.id)
        change(&draft)
        return draft
    }

    private func request(_ change: (inout RequestDraft) -> Void = { _ in }) throws -> JobRequest {
        try self.draft(change).request(in: WorkspaceID("acme"), actor: "test", now: Self.now)
    }

    private func problem(_ change: (inout RequestDraft) -> Void) throws -> DraftError {
        try #require(throws: DraftError.self) { _ = try self.request(change) }
    }

    @Test("a draft with nothing but the needed fields is a request of normal priority that starts now")
    func defaults() throws {
        let request = try self.request()
        #expect(request.priority == .normal && request.start == .now && request.deadline == nil)
        #expect(request.tags.isEmpty && request.uniqueKey == nil && request.isRepeatable == nil)
    }

    @Test(
        "times that do not exist are refused",
        arguments: [
            "2027-02-30T00:00:00Z", "2026-12-01T25:00:00Z", "2026-12-01T00:61:00Z", "2026-12-01T00:00:00Zjunk",
            "12026-12-01T00:00:00Z", "2026-12-01", "", "tomorrow", "2026-12-01T00:00:00", "2026-13-01T00:00:00Z",
        ])
    func times(text: String) throws {
        #expect(try self.problem { $0.runAt = text }.field == .runAt)
        #expect(try self.problem { $0.deadline = text }.field == .deadline)
    }

    @Test("a time to run at lies within a year")
    func year() throws {
        #expect(try self.request { $0.runAt = "2027-11-30T00:00:00Z" }.start == .at(Self.now + 365 * 86_400_000))
        #expect(try self.problem { $0.runAt = "2027-12-02T00:00:00Z" }.field == .runAt)
        #expect(try self.problem { $0.runAt = "9999-12-31T00:00:00Z" }.field == .runAt)
    }

    @Test("a delay and a time to run at exclude each other, and the message names both")
    func exclusive() throws {
        let error = try self.problem {
            $0.delay = 1
            $0.runAt = "2026-12-01T00:00:00Z"
        }
        #expect(error.message { "<\($0)>" } == "<delay> and <runAt> exclude each other")
    }

    @Test(
        "a delay is from 0 to a year", arguments: [(0, true), (366 * 86_400, true), (-1, false), (366 * 86_401, false)])
    func delay(seconds: Int, isFine: Bool) throws {
        if isFine {
            #expect(try self.request { $0.delay = Int64(seconds) }.start == .after(.seconds(seconds)))
        } else {
            #expect(try self.problem { $0.delay = Int64(seconds) }.field == .delay)
        }
    }

    @Test("a deadline that has passed contradicts the present, by the queue's clock")
    func deadline() throws {
        #expect(try self.request { $0.deadline = "2026-11-30T00:00:00.001Z" }.deadline == Self.now + 1)
        let error = try self.problem { $0.deadline = "2026-11-30T00:00:00Z" }
        #expect(error.isConflict && error.field == .deadline)
    }

    @Test("priorities have three names", arguments: ["", "High", "urgent", "1"])
    func priority(text: String) throws {
        #expect(try self.request { $0.priority = "high" }.priority == .high)
        #expect(try self.problem { $0.priority = text }.field == .priority)
    }

    @Test("a tag stands once, and there are at most eight")
    func tags() throws {
        #expect(try self.request { $0.tags = ["a", "b"] }.tags.map(\.name) == ["a", "b"])
        #expect(try self.problem { $0.tags = ["a", "a"] }.field == .tags)
        #expect(try self.problem { $0.tags = (0..<9).map { "t\($0)" } }.field == .tags)
        #expect(try self.problem { $0.tags = ["not a tag"] }.field == .tags)
    }

    @Test("a unique key has 1 to 256 characters", arguments: [0, 257])
    func uniqueKey(count: Int) throws {
        #expect(try self.request { $0.uniqueKey = String(repeating: "é", count: 256) }.uniqueKey?.count == 256)
        #expect(try self.problem { $0.uniqueKey = String(repeating: "k", count: count) }.field == .uniqueKey)
    }

    @Test(
        "a credential is not taken for a name, an id or a key",
        arguments: [
            "relay_sk_abc_def", "eyJhbGciOiJSUzI1NiJ9.e30.x", "sk-ant-api03-PLANTEDSECRET0001", "ghp_PLANTEDSECRET0003",
        ])
    func credentials(text: String) throws {
        #expect(try self.problem { $0.action = text }.field == .action)
        #expect(try self.problem { $0.requestID = text }.field == .requestID)
        #expect(try self.problem { $0.tags = [text] }.field == .tags)
        let error = try self.problem { $0.uniqueKey = text }
        #expect(!error.message { "\($0)" }.contains(text))
    }

    private func read(_ text: String) throws -> RequestDraft {
        try RequestDraft(reading: JSONParser.document(Array(text.utf8)), members: .api)
    }

    @Test(
        "params keep the bytes that were written, with all digits of their numbers",
        arguments: [
            #"{"amount":18446744073709551615}"#, #"{ "a" : 1.10 , "b":[ ] }"#,
            #"{"x":1e400}"#.replacing("400", with: "2"),
            #"{"pi":3.141592653589793238462643383279}"#, "{}",
        ])
    func bytes(params: String) throws {
        let draft = try self.read(#"{"action":"a","params": \#(params) ,"client_request_id":"x"}"#)
        #expect(String(decoding: draft.params, as: UTF8.self) == params)
    }

    @Test("an unknown member is refused by name")
    func unknownMember() throws {
        #expect(throws: RequestDraft.UnknownMember.self) {
            try self.read(#"{"action":"a","params":{},"client_request_id":"x","workspace":"other"}"#)
        }
    }

    @Test(
        "a needed member that is missing or of another type is named",
        arguments: ["action", "params", "client_request_id"])
    func missing(member: String) throws {
        let all = ["action": #""a""#, "params": "{}", "client_request_id": #""x""#]
        for value in [nil, "7"] {
            var members = all
            members[member] = value
            let text = "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
            let error = try #require(throws: DraftError.self) { _ = try self.read(text) }
            #expect(error.message(naming: RequestDraft.Members.api.quoted).contains("'\(member)'"))
        }
    }

    @Test("5.0 is an integer, 5.5 is none")
    func integers() throws {
        let text = #"{"action":"a","params":{},"client_request_id":"x","delay_seconds":"#
        #expect(try self.read(text + "469918.0}").delay == 469_918)
        #expect(throws: DraftError.self) { try self.read(text + "5.5}") }
    }

    @Test("a batch line may leave out the request id and the params")
    func batch() throws {
        let draft = try RequestDraft(
            reading: JSONParser.document(Array(#"{"action":"a"}"#.utf8)), members: .batch(freshRequestID: { "fresh" }))
        #expect(draft.requestID == "fresh" && draft.params == Array("{}".utf8))
    }
}
