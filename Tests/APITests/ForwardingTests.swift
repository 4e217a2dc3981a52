import Credentials
import Domain
import HTTPTypes
import HummingbirdCore
import NIOCore
import Testing
import TransportSecurity

@testable import API

@Suite("Forwarding to another node")
struct ForwardingTests {
    private static let key = [UInt8](repeating: 7, count: 32)
    private static let now: UInt64 = 1_800_000_000_000
    private let elsewhere = OtherNode("n2", has: .agent)

    // MARK: - The decision

    @Test("a request goes to the address of the agent's node")
    func target() throws {
        #expect(try self.elsewhere.target(address: "https://n2:8443", isForwarded: false) == "https://n2:8443")
    }

    @Test("without an address the answer names the node and the setting")
    func noAddress() {
        let problem = #expect(throws: Problem.self) {
            try self.elsewhere.target(address: nil, isForwarded: false)
        }
        #expect(problem?.code == .misdirected && problem?.rule == "node")
        #expect(problem?.detail.contains("'n2'") == true && problem?.detail.contains("api.advertise") == true)
    }

    @Test("a request that was forwarded is not forwarded again, whether there is an address or not")
    func onlyOnce() {
        for address in [nil, "https://n3"] {
            let problem = #expect(throws: Problem.self) {
                try self.elsewhere.target(address: address, isForwarded: true)
            }
            #expect(problem?.code == .misdirected && problem?.detail.contains("twice") == true)
        }
    }

    @Test("reading one agent, what is typed into it, and files are forwarded; terminals are not")
    func endpoints() {
        let path = "/ai/agents/{id}"
        #expect(
            Endpoint.all.filter(\.isForwarded).map { "\($0.method) \($0.path)" } == [
                "GET \(path)", "POST \(path)/input", "POST \(path)/keys", "POST \(path)/size",
                "GET /ai/workspaces/{workspace}/files", "PUT /ai/workspaces/{workspace}/files",
            ])
    }

    @Test("where nothing is forwarded the answer names the node, what it has, and its address where that is known")
    func named() {
        let files = OtherNode("n2", has: .files).problem(address: "https://n2:8443")
        #expect(files.code == .misdirected && files.rule == "node")
        #expect(files.detail.contains("files are on the node 'n2'") && files.detail.contains("API at https://n2:8443"))
        let agent = self.elsewhere.problem()
        #expect(agent.detail.contains("agent runs on the node 'n2'") && agent.detail.hasSuffix("that node's API"))
    }

    // MARK: - The record

    private func text(_ node: String = "n2", at time: UInt64 = now) throws -> String {
        try PeerRecord(node: node, url: "https://n2:8443", time: time).text(proofKey: Self.key)
    }

    private func read(_ text: String, _ node: String = "n2", key: [UInt8] = key, now: UInt64 = now) throws -> String? {
        try PeerRecord(text, node: node, proofKey: key, now: now)?.url
    }

    @Test("a node's record is read back for a minute, by either clock's lead")
    func record() throws {
        let text = try self.text()
        #expect(try self.read(text) == "https://n2:8443")
        #expect(try self.read(text, now: Self.now + PeerRecord.lifetime) == "https://n2:8443")
        #expect(try self.read(text, now: Self.now + PeerRecord.lifetime + 1) == nil)
        #expect(try self.read(text, now: Self.now - PeerRecord.lifetime - 1) == nil)
    }

    @Test("a record that was changed, moved to another node or made without the key does not count")
    func forged() throws {
        let text = try self.text()
        #expect(try self.read(text.replacing("n2:8443", with: "evil.test")) == nil)
        #expect(try self.read(text.replacing("\(Self.now)", with: "\(Self.now + 1)")) == nil)
        #expect(try self.read(text, "n3") == nil)
        #expect(try self.read(text, key: [UInt8](repeating: 8, count: 32)) == nil)
    }

    @Test(
        "what is not a record does not count",
        arguments: ["", " ", "1 2", "x https://a b", "1 https://a b c", "+1 a b"])
    func malformed(text: String) throws { #expect(try self.read(text) == nil) }

    // MARK: - The answer

    private func fresh() -> RequestRecord {
        RequestRecord(id: "r", traceparent: "", line: "GET /", startedAt: moment(0))
    }

    private func answer(_ status: Int, _ type: String = "application/json", _ more: [(String, String)] = [])
        -> HTTPAnswer
    {
        HTTPAnswer(
            status: status, headers: [(name: "Content-Type", value: type)] + more.map { (name: $0, value: $1) },
            body: Array("{}".utf8))
    }

    @Test("status, type and body are passed on, and of the headers only those that belong to them")
    func passedOn() throws {
        let given = self.answer(429, "application/problem+json", [("Retry-After", "3"), ("Set-Cookie", "a=b")])
        let record = self.fresh()
        let response = try Call.response(given, of: self.elsewhere, record)
        #expect(response.status.code == 429 && response.headers[.contentType] == "application/problem+json")
        #expect(response.headers[.retryAfter] == "3" && response.headers[.setCookie] == nil)
        #expect(response.body.contentLength == 2)
        #expect(record.facts.reason.contains("429"))
    }

    @Test("an answer that no API of ours gives is a bad gateway", arguments: [101, 301, 302, 307, 399, 600])
    func strangeStatus(status: Int) throws {
        let problem = #expect(throws: Problem.self) {
            try Call.response(self.answer(status), of: self.elsewhere, self.fresh())
        }
        #expect(problem?.status.code == 502)
    }

    @Test("a page is not an answer", arguments: ["text/html", "", "application/jsonp"])
    func strangeType(type: String) {
        #expect(throws: Problem.self) { try Call.response(self.answer(200, type), of: self.elsewhere, self.fresh()) }
    }

    @Test("a node that does not answer may do so later; one that cannot be trusted will not")
    func failures() {
        let unreachable = CredentialsError(code: .unreachable, message: "x")
        let tooLarge = CredentialsError(code: .malformedDocument, message: "x")
        #expect(Call.problem(of: unreachable, self.elsewhere).status.code == 503)
        #expect(Call.problem(of: ChannelError.connectTimeout(.seconds(1)), self.elsewhere).status.code == 503)
        #expect(Call.problem(of: TLSError(code: .handshakeTimeout, message: "x"), self.elsewhere).status.code == 503)
        #expect(Call.problem(of: tooLarge, self.elsewhere).status.code == 502)
        #expect(Call.problem(of: TLSError(code: .untrustedPeer, message: "x"), self.elsewhere).status.code == 502)
    }
}
