import Audit
import Domain
import Testing

@testable import API

@Suite("AnonymousTally")
struct AnonymousTallyTests {
    private static func request(_ status: Int = 401, id: String = "r1") -> AnonymousTally.Request {
        AnonymousTally.Request(
            id: id, line: "GET /ai/jobs", status: status, rule: "credential", reason: "a credential is needed")
    }

    @Test("any number of requests of one address is one entry with their count by status")
    func counts() {
        var tally = AnonymousTally(limit: 9)
        for _ in 0..<50 { tally.note(Self.request(401), from: "192.0.2.1") }
        for _ in 0..<250 { tally.note(Self.request(429), from: "192.0.2.1") }
        let entries = tally.drain()
        #expect(entries.map(\.count) == [300])
        #expect(entries.first?.statuses == [401: 50, 429: 250])
    }

    @Test("addresses beyond the limit are counted together, and none is lost")
    func overflow() {
        var tally = AnonymousTally(limit: 2)
        for number in 0..<100 { tally.note(Self.request(), from: "192.0.2.\(number)") }
        tally.note(Self.request(), from: "192.0.2.0")
        let entries = tally.drain()
        #expect(entries.map(\.address).sorted() == ["192.0.2.0", "192.0.2.1", AnonymousTally.otherAddresses])
        #expect(entries.map(\.count).reduce(0, +) == 101)
    }

    @Test("a tally that was drained is empty")
    func drains() {
        var tally = AnonymousTally(limit: 2)
        tally.note(Self.request(), from: "192.0.2.1")
        _ = tally.drain()
        #expect(tally.drain().isEmpty)
    }

    @Test("what could not be written is added to what has come since")
    func restores() {
        var tally = AnonymousTally(limit: 2)
        tally.note(Self.request(401), from: "a")
        let entries = tally.drain()
        tally.note(Self.request(421), from: "a")
        tally.restore(entries)
        #expect(tally.drain().first?.statuses == [401: 1, 421: 1])
    }

    @Test("the row of one request is that request's own, without a count")
    func single() throws {
        var tally = AnonymousTally(limit: 2)
        tally.note(Self.request(id: "mine"), from: "192.0.2.1")
        let event = try #require(tally.drain().first).event(node: "n1", time: 5)
        let row = try JSONParser.parse(event.encoded)
        #expect(row["status"] == "401" && row["action"] == "GET /ai/jobs" && row["request_id"] == "mine")
        #expect(row["error_reason"] == "a credential is needed" && row["address"] == "192.0.2.1")
        #expect(row["count"] == nil && row["workspace"] == nil)
    }

    @Test("the row of many requests has their number and what they were answered")
    func many() throws {
        var tally = AnonymousTally(limit: 2)
        for status in [401, 401, 429] { tally.note(Self.request(status), from: "192.0.2.1") }
        let row = try JSONParser.parse(try #require(tally.drain().first).event(node: "n1", time: 5).encoded)
        #expect(row["count"] == 3 && row["status"] == "401,429")
        #expect(row["error_reason"]?.string?.contains("2 × 401, 1 × 429") == true)
    }
}

@Suite("AnonymousAudit")
struct AnonymousAuditTests {
    private struct Away: Error {}

    @Test("a flush writes one row for each address, and none when nothing has come since")
    func flush() async {
        let rows = Collected()
        let audit = AnonymousAudit(node: "n1", now: { 5 }, logger: quiet) { await rows.add($0) }
        for address in ["a", "a", "b"] { audit.note(Self.request, from: address) }
        await audit.flush()
        await audit.flush()
        #expect(await rows.count == 2)
    }

    @Test("rows that cannot be written are written by the next flush, with what has come since")
    func failure() async throws {
        let rows = Collected()
        let audit = AnonymousAudit(node: "n1", now: { 5 }, logger: quiet) {
            guard await rows.isOpen else { throw Away() }
            await rows.add($0)
        }
        audit.note(Self.request, from: "a")
        await rows.open(false)
        await audit.flush()
        #expect(await rows.count == 0)
        await rows.open(true)
        audit.note(Self.request, from: "a")
        await audit.flush()
        let row = try JSONParser.parse(try #require(await rows.all.first))
        #expect(await rows.count == 1 && row["count"] == 2)
    }

    private static let request = AnonymousTally.Request(
        id: "r", line: "GET /", status: 401, rule: "credential", reason: "")
}

private actor Collected {
    private(set) var all: [[UInt8]] = []
    private(set) var isOpen = true
    var count: Int { self.all.count }
    func add(_ row: [UInt8]) { self.all.append(row) }
    func open(_ isOpen: Bool) { self.isOpen = isOpen }
}
