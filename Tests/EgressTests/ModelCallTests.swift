import Domain
import Egress
import ModelUsage
import Testing

/// Calls of models by the base URL of the listener.
@Suite("Calls of models")
struct ModelCallTests {
    private static let secret = "0123456789abcdef"
    private static let key = "sk-ant-api03-" + Self.secret
    private static let entries: [JSONValue] = [
        [
            "id": "claude", "host": "api.anthropic.test", "door": "model", "provider": "anthropic",
            "credential": "anthropic", "models": ["claude-*"],
        ],
        ["id": "gpt", "host": "llm.inner.test", "ports": [8443], "door": "model", "provider": "openai"],
        ["id": "api", "host": "api.example.test", "door": "tunnel"],
    ]
    private static let body =
        #"{"model":"claude-sonnet-4-5","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}"#

    static func configuration(_ entries: [JSONValue] = Self.entries) throws -> TunnelConfiguration {
        var configuration = TunnelConfiguration(rules: try EgressRules(parsing: entries), listenerPorts: [3128])
        configuration.launchSecret = Self.secret
        return configuration
    }

    static func request(
        _ path: String = "/model/anthropic/v1/messages", method: String = "POST", host: String = "127.0.0.1:3128",
        headers: String = "x-api-key: \(Self.key)\r\n", body: String = Self.body
    ) -> [UInt8] {
        let length = body.isEmpty ? "" : "content-length: \(body.utf8.count)\r\n"
        return Array("\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n\(headers)\(length)\r\n\(body)".utf8)
    }

    /// Plays a call up to its admission.
    static func play(
        _ request: [UInt8], _ entries: [JSONValue] = Self.entries, segment: Int = .max
    ) throws -> PlayedConnection {
        var connection = PlayedConnection(
            machine: TunnelMachine(try Self.configuration(entries), callID: "r1"),
            answers: [[EgressAddress("203.0.113.5")].compactMap { $0 }])
        var rest = request[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(segment))
            rest = rest.dropFirst(part.count)
            connection.perform(connection.machine.received(part))
        }
        return connection
    }

    static let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: a=b\r\nalt-svc: h3\r\n"
        + "Transfer-Encoding: chunked\r\n\r\n"
    private static let document =
        #"{"model":"claude-sonnet-4-5","usage":{"input_tokens":10,"output_tokens":5}}"#
    static var chunks: String {
        "5\r\n\(Self.document.prefix(5))\r\n\(String(Self.document.utf8.count - 5, radix: 16))\r\n"
            + "\(Self.document.dropFirst(5))\r\n0\r\n\r\n"
    }

    @Test(
        "a call goes to the entry's host with our credential and without any of the caller's", arguments: [1, 7, .max])
    func call(_ segment: Int) throws {
        let headers =
            "authorization: Bearer sk-ant-own\r\nX-Api-Key: \(Self.key)\r\nCookie: c=d\r\nanthropic-version: 2023-06-01\r\n"
            + "accept-encoding: gzip, br\r\nConnection: keep-alive, x-hop\r\nx-hop: 1\r\n"
        var connection = try Self.play(
            Self.request("/model/anthropic/v1/messages?beta=true&key=\(Self.key)", headers: headers), segment: segment)
        #expect(connection.machine.serverNameForTLS == "api.anthropic.test")
        #expect(connection.isSilent, "nothing before the admission")
        let event = try #require(connection.events.last)
        #expect(event.isAllowed && event.listener == .model && event.path == "/v1/messages")
        #expect(event.credential?.name == "anthropic" && event.model?.name == "claude-sonnet-4-5")
        #expect(event.model?.isCharged == true && event.model?.maximumOutput == 100)
        #expect(event.model?.hasForeignCredential == true)
        connection.perform(connection.machine.admitted(credential: "sk-real"))
        #expect(connection.questions == ["api.anthropic.test"] && connection.dials == ["203.0.113.5:443"])
        #expect(
            connection.forwardedText
                == "POST /v1/messages?beta=true HTTP/1.1\r\nhost: api.anthropic.test\r\n"
                + "anthropic-version: 2023-06-01\r\nx-api-key: sk-real\r\naccept-encoding: identity\r\n"
                + "content-length: \(Self.body.utf8.count)\r\n\r\n\(Self.body)")
        for part in Array((Self.answer + Self.chunks).utf8).chunked(segment) {
            connection.perform(connection.machine.receivedFromServer(part))
        }
        let parts = connection.answeredText.split(separator: "\r\n\r\n", maxSplits: 1)
        #expect(
            parts.first
                == "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nTransfer-Encoding: chunked\r\nconnection: close"
        )
        #expect(Self.content(parts.last.map(String.init) ?? "") == Self.document)
        let end = try #require(connection.events.last)
        #expect(end.phase == .ended && end.status == 200 && end.model?.reservation == "r1")
        #expect(
            end.model?.usage == TokenUsage(input: 10, output: 5, model: "claude-sonnet-4-5") && connection.isClosed)
    }

    /// The content of a body in chunks that is complete; nil for anything else.
    private static func content(_ text: String) -> String? {
        var (rest, content) = (Array(text.utf8)[...], [UInt8]())
        while let end = rest.firstIndex(of: UInt8(ascii: "\r")),
            let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16)
        {
            rest = rest[end...].dropFirst(2)
            content += rest.prefix(size)
            rest = rest.dropFirst(size + 2)
            if size == 0 { return rest.isEmpty ? String(decoding: content, as: UTF8.self) : nil }
        }
        return nil
    }

    /// What is refused before any name is asked for.
    private static let refused: [(request: [UInt8], reason: EgressReason, status: Int)] = [
        (Self.request(headers: ""), .unknownPlaceholder, 401),
        (Self.request(headers: "x-api-key: sk-ant-api03-0123456789abcdee\r\n"), .unknownPlaceholder, 401),
        (Self.request(headers: "x-api-key: sk-ant-real\r\n"), .unknownPlaceholder, 401),
        (Self.request("/model/anthropic/v1/files"), .pathNotAllowed, 403),
        (Self.request("/model/anthropic/v1/messages/../files"), .invalidPath, 400),
        (Self.request("/model/anthropic//v1/messages"), .invalidPath, 400),
        (Self.request("/model/anthropic/v1/messages;x"), .pathNotAllowed, 403),
        (Self.request("/model/anthropic/v1/messages", method: "PUT"), .methodNotAllowed, 405),
        (Self.request("/model/gemini/v1beta/models"), .hostNotAllowed, 403),
        (Self.request("/model/other/v1/messages"), .notAProxyRequest, 400),
        (Self.request(host: "api.anthropic.test"), .hostMismatch, 400),
        (Self.request(body: Self.body.replacing("claude-sonnet", with: "gpt")), .modelNotAllowed, 403),
        (Self.request(body: "{"), .malformedRequest, 400),
        (
            Self.request(
                headers: "x-api-key: \(Self.key)\r\ntransfer-encoding: chunked\r\n", body: ""), .lengthRequired, 411
        ),
        (
            Self.request(headers: "x-api-key: \(Self.key)\r\ncontent-encoding: gzip\r\n"), .encodingNotSupported, 415
        ),
        (
            Self.request(headers: "x-api-key: \(Self.key)\r\nconnection: upgrade\r\nupgrade: websocket\r\n"),
            .upgradeNotSupported, 426
        ),
        (
            Self.request(
                body:
                    #"{"model":"claude-x","max_tokens":1,"messages":[],"mcp_servers":[{"url":"https://evil.test"}]}"#),
            .providerSideFetch, 403
        ),
        (
            Array(
                ("POST /model/anthropic/v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: \(Self.key)\r\n"
                    + "content-length: 40000000\r\n\r\n").utf8), .requestTooLarge, 413
        ),
    ]

    @Test("what is refused asks no name and dials nothing", arguments: Self.refused.indices)
    func refusal(_ index: Int) throws {
        let (request, reason, status) = Self.refused[index]
        let connection = try Self.play(request)
        #expect(connection.reason == reason && reason.status == status)
        #expect(connection.isSilent && connection.isClosed && !connection.answeredText.contains("sk-ant"))
    }

    @Test("a large request is checked apart, and refused or sent as any other", arguments: [true, false])
    func large(_ isAllowed: Bool) throws {
        let text = String(repeating: "x", count: 200_000)
        let model = isAllowed ? "claude-x" : "gpt-x"
        let body = #"{"model":"\#(model)","max_tokens":1,"messages":[{"role":"user","content":"\#(text)"}]}"#
        var connection = try Self.play(Self.request(body: body), segment: 65_536)
        #expect(connection.checks == 1)
        #expect(try Self.play(Self.request()).checks == 0, "a small one is checked at once")
        guard isAllowed else {
            #expect(connection.reason == .modelNotAllowed && connection.isSilent)
            return
        }
        connection.perform(connection.machine.admitted(credential: "k"))
        #expect(connection.forwardedText.hasSuffix(body))
    }

    @Test("a refusal has the form of the provider's own errors")
    func form() throws {
        let connection = try Self.play(Self.request("/model/anthropic/v1/files"))
        #expect(connection.answeredText.contains(#""type":"error""#))
        #expect(connection.answeredText.contains("x-orchestra-reason: path_not_allowed"))
    }

    @Test("a service without a certificate for its name gets neither the credential nor a byte")
    func untrusted() throws {
        var machine = TunnelMachine(try Self.configuration())
        _ = machine.received(Self.request())
        _ = machine.admitted(credential: "k")
        _ = machine.resolved(.addresses([EgressAddress(version4Bits: 0xcb00_7105)]))
        let actions = machine.dialed(.untrusted)
        guard case .record(let event)? = actions.first else { throw TestFailure("expected a row: \(actions)") }
        #expect(event.reason == .certificateNotAccepted && machine.status == 502)
        #expect(!actions.contains { if case .forward = $0 { true } else { false } } && actions.last == .close)
    }

    @Test("a spent budget is answered with 402, and nothing is sent")
    func budget() throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.refuse(.budgetSpent, "the budget 'daily' is spent"))
        #expect(connection.forwarded.isEmpty && connection.answeredText.hasPrefix("HTTP/1.1 402 "))
        #expect(connection.answeredText.contains("billing_error"))
    }

    @Test("a provider that refuses our key is no reason for the agent to log in")
    func rejected() throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "old"))
        connection.perform(
            connection.machine.receivedFromServer(Array("HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\nno".utf8)))
        #expect(connection.answeredText.hasPrefix("HTTP/1.1 502 ") && connection.reason == .credentialRejected)
        #expect(connection.events.last?.model?.usage?.total == 0, "the provider did not work")
    }

    @Test(
        "what ends before its end is estimated and never free",
        arguments: ["", "HTTP/1.1 200 OK\r\n\r\n{\"model\":", "HTTP/1.1 100 Continue\r\n\r\n"])
    func cut(_ answer: String) throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "k"))
        if !answer.isEmpty { connection.perform(connection.machine.receivedFromServer(Array(answer.utf8))) }
        connection.perform(connection.machine.receivedEndFromServer())
        let usage = try #require(connection.events.last?.model?.usage)
        #expect(connection.isClosed && usage.isEstimated && usage.total > 0)
    }

    @Test(
        "an answer that is no HTTP is refused",
        arguments: [
            "SSH-2.0-x\r\n\r\n", "HTTP/1.1 101 Up\r\n\r\n", "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n", "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
        ])
    func malformedAnswer(_ answer: String) throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "k"))
        connection.perform(connection.machine.receivedFromServer(Array(answer.utf8)))
        #expect(connection.reason == .answerMalformed && connection.answeredText.hasPrefix("HTTP/1.1 502 "))
    }

    @Test("two services of one host have their own conditions, and a denial holds for both")
    func sharedHost() throws {
        func entry(_ id: String, _ more: [JSONMember]) -> JSONValue {
            .object(
                [
                    JSONMember("id", .string(id)), JSONMember("host", "llm.example.test"), JSONMember("door", "model"),
                ] + more)
        }
        let narrow = entry("a", [JSONMember("provider", "anthropic"), JSONMember("paths", ["/v1/models"])])
        let wide = entry("b", [JSONMember("provider", "openai")])
        #expect(try Self.play(Self.request(), [narrow, wide]).reason == .pathNotAllowed)
        let denial: JSONValue = ["id": "c", "host": "llm.example.test", "deny": true, "paths": ["/v1/messages"]]
        let anthropic = entry("a", [JSONMember("provider", "anthropic")])
        #expect(try Self.play(Self.request(), [anthropic, wide, denial]).reason == .denied)
        #expect(try Self.play(Self.request(), [anthropic, wide]).reason == nil)
    }

    @Test("a provider by its address has no brackets in its name for TLS")
    func address() throws {
        let entry: JSONValue = ["id": "a", "host": "[2001:4860::1]", "door": "model", "provider": "anthropic"]
        #expect(try Self.play(Self.request(), [entry]).machine.serverNameForTLS == "2001:4860::1")
    }

    @Test("every reason of the check of a request is one of the rules")
    func reasons() {
        for code in ModelRefusal.Code.allCases { #expect(EgressReason(rawValue: code.rawValue) != nil, "\(code)") }
    }

    @Test("a call that the provider may be working on is not made again")
    func underWay() throws {
        var machine = TunnelMachine(try Self.configuration())
        _ = machine.received(Self.request())
        _ = machine.admitted(credential: "k")
        _ = machine.resolved(.addresses([EgressAddress(version4Bits: 0xcb00_7105)]))
        _ = machine.dialed(.reused(EgressAddress(version4Bits: 0xcb00_7106)))
        machine.forbidRepeat()
        _ = machine.receivedEndFromServer()
        #expect(machine.isClosed && machine.status == 502)
    }

    @Test("a credential that is cut by chunks is masked too, and never stands for a model", arguments: [1, 5, .max])
    func reflectedInChunks(_ segment: Int) throws {
        let answer =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n14\r\n{\"model\":\"sk-real-ke\r\n"
            + "3\r\ny-1\r\n2\r\n\"}\r\n0\r\n\r\n"
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "sk-real-key-1"))
        for part in Array(answer.utf8).chunked(segment) {
            connection.perform(connection.machine.receivedFromServer(part))
        }
        let body = connection.answeredText.split(separator: "\r\n\r\n", maxSplits: 1).last.map(String.init) ?? ""
        #expect(Self.content(body) == #"{"model":"*************"}"#, "\(body)")
        #expect(connection.isClosed && connection.events.last?.model?.hasReflectedSecret == true)
        #expect(connection.events.last?.model?.usage?.model == "claude-sonnet-4-5")
    }

    @Test("a caller that leaves before an answer in one piece is there pays for all that it asked for")
    func abandoned() throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "k"))
        connection.perform(connection.machine.receivedEndOfInput())
        let usage = try #require(connection.events.last?.model?.usage)
        #expect(connection.isClosed && usage.output == 100 && usage.isEstimated)
    }

    @Test(
        "a word of the caller that goes into events is bounded",
        arguments: ["a\u{2028}b", "", String(repeating: "x", count: 65)])
    func tier(_ tier: String) throws {
        let body = Self.body.replacing("{\"model\"", with: "{\"service_tier\":\"\(tier)\",\"model\"")
        #expect(try Self.play(Self.request(body: body)).reason == .malformedRequest)
    }

    @Test(
        "a body with more values than memory is for is refused, and text with as many commas is not",
        arguments: [true, false])
    func values(_ isText: Bool) throws {
        let many = String(repeating: "1,", count: ModelRequestRules.valueLimit) + "1"
        let content = isText ? "\"\(many)\"" : "[\(many)]"
        let body = #"{"model":"claude-x","max_tokens":1,"messages":[{"role":"user","content":\#(content)}]}"#
        let connection = try Self.play(Self.request(body: body), segment: 65_536)
        #expect(connection.reason == (isText ? nil : .requestTooLarge))
    }

    @Test("our credential in an answer is masked, however it is cut, and the row says so", arguments: [1, 3, .max])
    func reflected(_ segment: Int) throws {
        let text = "you sent sk-sk-real-key-1, not sk-real-kez"
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "sk-real-key-1"))
        let answer = "HTTP/1.1 400 Bad\r\nx-key: sk-real-key-1\r\ncontent-length: \(text.utf8.count)\r\n\r\n\(text)"
        for part in Array(answer.utf8).chunked(segment) {
            connection.perform(connection.machine.receivedFromServer(part))
        }
        #expect(
            connection.answeredText
                == "HTTP/1.1 400 Bad\r\nx-key: *************\r\ncontent-length: \(text.utf8.count)\r\nconnection: close\r\n\r\n"
                + "you sent sk-*************, not sk-real-kez")
        #expect(connection.isClosed && connection.events.last?.model?.hasReflectedSecret == true)
    }

    @Test("an end that only began like the credential is passed on with the connection's end")
    func heldEnd() throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.admitted(credential: "sk-real-key-1"))
        connection.perform(connection.machine.receivedFromServer(Array("HTTP/1.1 200 OK\r\n\r\nends in sk-real".utf8)))
        #expect(connection.answeredText.hasSuffix("ends in "))
        connection.perform(connection.machine.receivedEndFromServer())
        #expect(connection.answeredText.hasSuffix("ends in sk-real") && connection.isClosed)
        #expect(connection.events.last?.model?.hasReflectedSecret == false)
    }

    @Test("a caller that leaves before the admission costs nothing")
    func left() throws {
        var connection = try Self.play(Self.request())
        connection.perform(connection.machine.receivedEndOfInput())
        connection.perform(connection.machine.receivedEndFromServer())
        #expect(connection.isClosed && connection.events.last?.model?.usage == nil)
        #expect(connection.machine.admitted(credential: "k").isEmpty)
    }

    @Test("a probe is answered without the provider")
    func probe() throws {
        let connection = try Self.play(Self.request("/model/anthropic", method: "HEAD", body: ""))
        #expect(connection.isSilent && connection.answeredText.hasPrefix("HTTP/1.1 200 ") && connection.isClosed)
    }

    @Test("without an entry for a model the listener is a forward proxy as before")
    func none() throws {
        let only: [JSONValue] = [["id": "a", "host": "api.example.test", "door": "tunnel"]]
        #expect(try Self.play(Self.request(), only).reason == .hostNotAllowed)
        #expect(try Self.play(Self.request("/v1/messages"), only).reason == .notAProxyRequest)
    }

    @Test(
        "an entry for a model that cannot be used names the field",
        arguments: [
            (["id": "a", "host": "x.test", "door": "model"], "'provider' is missing"),
            (["id": "a", "host": "*.x.test", "door": "model", "provider": "openai"], "'host' must be exact"),
            (
                ["id": "a", "host": "x.test", "ports": [1, 2], "door": "model", "provider": "openai"],
                "'ports' must have one port"
            ),
            (["id": "a", "host": "x.test", "door": "model", "provider": "bard"], "'provider' is 'bard'"),
            (["id": "a", "host": "x.test", "door": "http", "provider": "openai"], "only for an entry"),
            (["id": "a", "host": "x.test", "door": "model", "provider": "openai", "models": ["a b"]], "'models' has"),
        ] as [(JSONValue, String)])
    func entry(_ entry: JSONValue, _ words: String) throws {
        let error = try #require(throws: EgressError.self) { try EgressRules(parsing: [entry]) }
        #expect(error.message.contains(words), "\(error)")
    }

    @Test("two entries for the models of one service are refused")
    func twice() throws {
        let entry: (String) -> JSONValue = {
            ["id": .string($0), "host": .string("\($0).test"), "door": "model", "provider": "openai"]
        }
        let error = try #require(throws: EgressError.self) { try EgressRules(parsing: [entry("a"), entry("b")]) }
        #expect(error.message.contains("'a' and 'b'"))
    }
}

/// What a test did not find.
struct TestFailure: Error {
    let message: String
    init(_ message: String) { self.message = message }
}

extension [UInt8] {
    fileprivate func chunked(_ size: Int) -> [[UInt8]] {
        guard size < self.count else { return [self] }
        return stride(from: 0, to: self.count, by: size).map { Array(self[$0..<Swift.min($0 + size, self.count)]) }
    }
}
