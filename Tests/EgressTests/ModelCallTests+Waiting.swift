import Domain
import Egress
import ModelUsage
import Testing

/// Calls that wait for a provider, are late, or are made again.
extension ModelCallTests {
    private static func limit(_ status: Int, _ header: String) -> [UInt8] {
        Array("HTTP/1.1 \(status) Busy\r\n\(header)content-length: 2\r\n\r\n{}".utf8)
    }

    @Test(
        "a call waits for the provider's limit and is made again, without the caller",
        arguments: [(429, "retry-after: 7\r\n", 7), (529, "", 1), (503, "Retry-After: 0\r\n", 1)]
            as [(Int, String, UInt64)])
    func throttled(_ status: Int, _ header: String, _ seconds: UInt64) throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "k"))
        let sent = connection.forwarded
        connection.perform(connection.machine.receivedFromServer(Self.limit(status, header)))
        #expect(connection.waits == [seconds] && connection.answered.isEmpty && !connection.isClosed)
        // What comes late from the first connection is of no interest.
        #expect(connection.machine.receivedFromServer([1]).isEmpty)
        #expect(connection.machine.receivedEndFromServer().isEmpty)
        connection.perform(connection.machine.waited())
        #expect(connection.forwarded == sent + sent && connection.dials.count == 2)
        #expect(connection.questions.count == 1 && connection.events.count == 1, "asked and admitted once")
        connection.perform(connection.machine.receivedFromServer(Array((Self.answer + Self.chunks).utf8)))
        let end = try #require(connection.events.last)
        #expect(end.status == 200 && end.model?.waitedSeconds == seconds && end.model?.usage?.output == 5)
    }

    @Test(
        "a limit that lasts too long, or has no end, is the caller's matter",
        arguments: [
            (429, "retry-after: 301\r\n"), (429, ""), (429, "retry-after: Mon, 30 Nov 2026 12:00:00 GMT\r\n"),
            (429, "retry-after: 99999999999999999999\r\n"), (503, "retry-after: 3600\r\n"),
            (429, "retry-after: 18446744073709551615\r\n"), (500, "retry-after: 1\r\n"),
        ])
    func tooLong(_ status: Int, _ header: String) throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "k"))
        connection.perform(connection.machine.receivedFromServer(Self.limit(status, header)))
        #expect(connection.waits.isEmpty && connection.answeredText.hasPrefix("HTTP/1.1 \(status) "))
        #expect(connection.isClosed && connection.events.last?.model?.usage?.total == 0)
    }

    @Test("the waits of one call have an end")
    func waits() throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "k"))
        while !connection.isClosed, connection.waits.count < 10 {
            connection.perform(connection.machine.receivedFromServer(Self.limit(529, "")))
            connection.perform(connection.machine.waited())
        }
        #expect(connection.waits == [1, 2, 4, 8, 16] && connection.answeredText.hasPrefix("HTTP/1.1 529 "))
        var slow = try Self.play(Self.request())
        slow.perform(slow.machine.admitted(credential: "k"))
        for _ in 0..<2 {
            slow.perform(slow.machine.receivedFromServer(Self.limit(429, "retry-after: 200\r\n")))
            slow.perform(slow.machine.waited())
        }
        #expect(slow.waits == [200] && slow.isClosed)
        var exact = try Self.play(Self.request())
        exact.perform(exact.machine.admitted(credential: "k"))
        for seconds in [300, 0, 0] {
            exact.perform(exact.machine.receivedFromServer(Self.limit(429, "retry-after: \(seconds)\r\n")))
            exact.perform(exact.machine.waited())
        }
        #expect(exact.waits == [300] && exact.answeredText.hasPrefix("HTTP/1.1 429 "))
    }

    @Test("a caller that leaves while its call waits ends the call")
    func leftWhileWaiting() throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "k"))
        connection.perform(connection.machine.receivedFromServer(Self.limit(429, "retry-after: 7\r\n")))
        connection.perform(connection.machine.receivedEndOfInput())
        connection.perform(connection.machine.receivedEndFromServer())
        #expect(connection.isClosed && connection.dials.count == 1 && connection.machine.waited().isEmpty)
        #expect(connection.events.last?.model?.usage?.total == 0)
    }

    @Test(
        "a connection is used again only after a whole answer that allows it",
        arguments: [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}x", false),
            ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}", false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", false), ("HTTP/1.1 200 OK\r\n\r\n{}", false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", false),
        ])
    func reusable(_ answer: String, _ isReusable: Bool) throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "k"))
        connection.perform(connection.machine.receivedFromServer(Array(answer.utf8)))
        if !connection.isClosed { connection.perform(connection.machine.receivedEndFromServer()) }
        #expect(connection.isClosed && connection.machine.isServerReusable == isReusable)
    }

    @Test("a connection that was used before and is closed without an answer costs nothing", arguments: [true, false])
    func stale(_ hasBegun: Bool) throws {
        var machine = TunnelMachine(try Self.configuration())
        _ = machine.received(Self.request())
        _ = machine.admitted(credential: "k")
        _ = machine.resolved(.addresses([EgressAddress(version4Bits: 0xcb00_7105)]))
        guard case .forward(let first)? = machine.dialed(.reused(EgressAddress(version4Bits: 0xcb00_7106))).first else {
            throw TestFailure("nothing was sent")
        }
        if hasBegun { _ = machine.receivedFromServer(Array("HTTP".utf8)) }
        let actions = machine.receivedEndFromServer()
        guard !hasBegun else { return #expect(machine.isClosed && machine.status == 502) }
        #expect(actions == [.wait(seconds: 0)] && !machine.mayReuseConnection)
        guard case .dial? = machine.waited().first else { throw TestFailure("no second connection") }
        #expect(machine.dialed(.connected) == [.forward(first)])
        #expect(machine.receivedEndFromServer().last == .close, "only once more")
    }

    @Test(
        "a provider that shows that it works on a call is not asked again",
        arguments: ["HTTP/1.1 102 Processing\r\n\r\n", ""])
    func seen(_ informational: String) throws {
        var machine = TunnelMachine(try Self.configuration())
        _ = machine.received(Self.request())
        _ = machine.admitted(credential: "k")
        _ = machine.resolved(.addresses([EgressAddress(version4Bits: 0xcb00_7105)]))
        _ = machine.dialed(.reused(EgressAddress(version4Bits: 0xcb00_7106)))
        if informational.isEmpty {
            // The second attempt has a connection of its own.
            _ = machine.receivedFromServer(Self.limit(503, ""))
            _ = machine.waited()
            _ = machine.dialed(.connected)
        } else {
            _ = machine.receivedFromServer(Array(informational.utf8))
        }
        _ = machine.receivedEndFromServer()
        #expect(machine.isClosed && machine.status == 502)
    }

    @Test("a call that takes too long is answered and settled, also while it waits", arguments: [true, false])
    func late(_ isWaiting: Bool) throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "k"))
        if isWaiting { connection.perform(connection.machine.receivedFromServer(Self.limit(503, ""))) }
        connection.perform(connection.machine.hitDeadline())
        #expect(connection.isClosed && connection.answeredText.hasPrefix("HTTP/1.1 504 "))
        let end = try #require(connection.events.last)
        #expect(end.phase == .ended && end.reason == .answerTimeout)
        #expect((end.model?.usage?.total == 0) == isWaiting, "a provider that refused has not worked")
        #expect(isWaiting || end.model?.usage?.output == 100, "one that was given up goes on, and charges")
    }

    @Test(
        "a request whose check lasts too long, or whose caller leaves meanwhile, is not made", arguments: [true, false])
    func checking(_ isLate: Bool) throws {
        let text = String(repeating: "x", count: 100_000)
        let body = #"{"model":"claude-x","max_tokens":1,"messages":[{"role":"user","content":"\#(text)"}]}"#
        var machine = TunnelMachine(try Self.configuration())
        guard case .check(let check)? = machine.received(Self.request(body: body)).last else {
            throw TestFailure("it is not checked apart")
        }
        let actions = isLate ? machine.hitDeadline() : machine.receivedEndOfInput()
        #expect(actions.last == .close && machine.checked(check.run()).isEmpty)
        #expect(machine.status == (isLate ? 408 : nil))
    }
}
