import Domain
import Foundation
import TestSupport
import Testing

extension APISuites {
    @Suite(
        "An agent's terminal over the API", .serialized,
        .enabled(if: !isRoot && isInstalled("curl"), "needs curl and an ordinary user"))
    struct TerminalAPITests {
        /// Starts an agent through the API and waits until its terminal shows something.
        static func agent(_ bench: APIBench, prompt: String) async throws -> String {
            let body: JSONValue = [
                "agent": "session", "prompt": .string(prompt),
                "client_request_id": .string(UUID().uuidString.lowercased()),
            ]
            let answer = try await bench.ask("POST", "/ai/agents", json: body.text)
            #expect(answer.status == 202, "\(answer.body)")
            let id = try #require(try answer.json()["job_id"]?.string)
            try await eventually("the agent is ready") {
                let shown = try await bench.ask("GET", "/ai/agents/\(id)")
                return try shown.status == 200 && ["ready", "busy", "waiting"].contains(shown.json()["state"]?.string)
            }
            return id
        }

        private static func authorization(_ bench: APIBench, _ role: String) -> String {
            "Authorization: Bearer \(bench.keys[role] ?? "")"
        }

        /// What came so far.
        private struct Seen {
            var output: [UInt8] = []
            var others: [JSONValue] = []
            var shown: String { String(decoding: self.output, as: UTF8.self) }
            func has(_ name: String, _ value: String) -> Bool { self.others.contains { $0[name]?.string == value } }
        }

        /// Reads until it is enough; throws when the socket ends before.
        private static func read(
            _ socket: TestWebSocket, into seen: inout Seen, until isEnough: (Seen) -> Bool
        ) async throws {
            while !isEnough(seen) {
                guard let frame = await socket.next(), frame.opcode != 8 else {
                    throw TestFailure("the socket ended; seen: \(seen.shown) \(seen.others.map(\.text))")
                }
                guard frame.opcode == 1 else { continue }
                let value = try JSONParser.parse(frame.payload)
                if value["type"] == "output" {
                    #expect(value["offset"]?.integer != nil)
                    seen.output += Array(Data(base64Encoded: value["bytes"]?.string ?? "") ?? Data())
                } else {
                    seen.others.append(value)
                }
            }
        }

        private static func input(_ text: String, until: String = "answered") -> String {
            let value: JSONValue = [
                "type": "input", "text": .string(text), "message_id": .string(UUID().uuidString.lowercased()),
                "until": .string(until),
            ]
            return value.text
        }

        /// The code with which the server closes.
        private static func closing(_ socket: TestWebSocket) async -> Int? {
            while let frame = await socket.next() { if frame.opcode == 8 { return frame.code } }
            return nil
        }

        @Test("what is typed comes with receipts and an audit row, what is shown comes whole, from any place on")
        func conversation() async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await Self.agent(bench, prompt: "echo be''gun")
                let path = "/ai/agents/\(id)/terminal"
                var first = Seen()
                try await TestWebSocket.with(
                    port: bench.port, path: path, headers: [Self.authorization(bench, "developer")]
                ) { socket in
                    #expect(socket.answer.hasPrefix("HTTP/1.1 101"), "\(socket.answer)")
                    for name in ["x-request-id", "ratelimit", "x-content-type-options"] {
                        #expect(socket.answer.lowercased().contains("\r\n\(name): "), "\(name)")
                    }
                    try await Self.read(socket, into: &first) { $0.shown.contains("begun") }
                    try await socket.send(Self.input("echo mar''ker"))
                    try await Self.read(socket, into: &first) {
                        $0.shown.contains("marker") && $0.has("type", "receipt")
                    }
                    #expect(first.has("stage", "answered"))
                    try await socket.send(opcode: 9, [1, 2])
                    while let frame = await socket.next(), frame.opcode != 10 {}
                }
                let typed = try await bench.rows("agent.input")
                #expect(typed.count == 1 && typed.first?["job_id"]?.string == id)
                #expect(typed.first?["params_hmac"]?.string?.count == 64)
                #expect(try await bench.rows().contains { $0["status"] == "101" && $0["action"] == "agents.read" })
                // From the fifth byte on; and a viewer may look and not type.
                try await TestWebSocket.with(
                    port: bench.port, path: path + "?offset=5", headers: [Self.authorization(bench, "viewer")]
                ) { socket in
                    var seen = Seen()
                    try await Self.read(socket, into: &seen) { $0.shown.contains("marker") }
                    #expect(seen.output.starts(with: first.output.dropFirst(5).prefix(20)))
                    try await socket.send(Self.input("echo no"))
                    try await Self.read(socket, into: &seen) { $0.has("code", "forbidden") }
                }
                let denied = try await bench.rows().filter { $0["action"] == "agents.input" }
                #expect(denied.map { $0["status"]?.string } == ["403"] && denied.first?["job_id"]?.string == id)
                let events = try await bench.ask("POST", "/ai/agents/\(id)/stop", json: "")
                #expect([200, 202].contains(events.status))
                let stream = try await bench.ask("GET", "/ai/agents/\(id)/output?offset=5", as: "viewer")
                #expect(stream.headers["content-type"] == "text/event-stream")
                let data = stream.body.components(separatedBy: "data: ").dropFirst().compactMap {
                    try? JSONParser.parse(Array($0.prefix { !$0.isNewline }.utf8))["bytes"]?.string
                }
                let bytes = data.flatMap { Array(Data(base64Encoded: $0) ?? Data()) }
                #expect(bytes.starts(with: first.output.dropFirst(5)))
                #expect(stream.body.contains("event: end"))
            }
        }

        @Test("keys and sizes have endpoints and frames; text with control characters is refused by name")
        func keys() async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await Self.agent(bench, prompt: "echo be''gun")
                func message(_ members: String) -> String {
                    "{\(members),\"message_id\":\"\(UUID().uuidString.lowercased())\"}"
                }
                let path = "/ai/agents/\(id)"
                let refused = try await bench.ask("POST", path + "/input", json: message(#""text":"\u001b""#))
                #expect(refused.status == 422 && refused.body.contains("ESC (U+001B)"), "\(refused.body)")
                let unknown = try await bench.ask("POST", path + "/keys", json: message(#""keys":["Nope"]"#))
                #expect(unknown.status == 422 && unknown.body.contains("unknown key"), "\(unknown.body)")
                let pressed = try await bench.ask(
                    "POST", path + "/keys", json: message(#""keys":["C-u","Enter"],"until":"answered""#))
                #expect(pressed.status == 200 && pressed.body.contains("answered"), "\(pressed.body)")
                let size = try await bench.ask("POST", path + "/size", json: #"{"columns":100,"rows":30}"#)
                #expect(size.status == 200 && size.body.contains("100"), "\(size.body)")
                #expect(
                    try await bench.ask("POST", path + "/size", json: #"{"columns":501,"rows":30}"#).status == 422)
                try await TestWebSocket.with(
                    port: bench.port, path: path + "/terminal", headers: [Self.authorization(bench, "developer")]
                ) { socket in
                    var seen = Seen()
                    try await Self.read(socket, into: &seen) { $0.shown.contains("begun") }
                    try await socket.send(message(#""type":"input","text":"\u0003""#))
                    try await Self.read(socket, into: &seen) { $0.has("type", "error") }
                    try await socket.send(message(#""type":"keys","keys":["Enter"],"until":"answered""#))
                    try await Self.read(socket, into: &seen) { $0.has("stage", "answered") }
                }
            }
        }

        @Test("messages that come one behind the other are typed in that order")
        func order() async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await Self.agent(bench, prompt: "echo be''gun")
                try await TestWebSocket.with(
                    port: bench.port, path: "/ai/agents/\(id)/terminal",
                    headers: [Self.authorization(bench, "developer")]
                ) { socket in
                    var seen = Seen()
                    try await Self.read(socket, into: &seen) { $0.shown.contains("begun") }
                    for number in 0..<10 { try await socket.send(Self.input("M=${M}\(number)", until: "written")) }
                    try await Self.read(socket, into: &seen) {
                        $0.others.filter { $0["type"] == "receipt" }.count == 10
                    }
                    try await ContinuousClock().sleep(for: .seconds(1))
                    try await socket.send(Self.input("echo =$M=", until: "written"))
                    try await Self.read(socket, into: &seen) { $0.shown.contains("=0123456789=") }
                }
            }
        }

        @Test(
            "of eleven messages at once the eleventh is refused, nine a second never are, and who goes on is shown out")
        func rate() async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await Self.agent(bench, prompt: "echo be''gun")
                let headers = [Self.authorization(bench, "developer")]
                try await TestWebSocket.with(port: bench.port, path: "/ai/agents/\(id)/terminal", headers: headers) {
                    socket in
                    var seen = Seen()
                    try await Self.read(socket, into: &seen) { $0.shown.contains("begun") }
                    for _ in 0..<11 { try await socket.send(#"{"type":"nothing"}"#) }
                    try await Self.read(socket, into: &seen) { $0.others.count == 11 }
                    let codes = seen.others.map { $0["code"]?.string }
                    #expect(codes.prefix(10).allSatisfy { $0 == "invalid-request" } && codes.last == "rate-limited")
                    try await ContinuousClock().sleep(for: .seconds(2))
                    for _ in 0..<30 {
                        try await socket.send(#"{"type":"nothing"}"#)
                        try await ContinuousClock().sleep(for: .milliseconds(111))
                    }
                    try await Self.read(socket, into: &seen) { $0.others.count == 41 }
                    #expect(seen.others.filter { $0["code"] == "rate-limited" }.count == 1)
                    for _ in 0..<80 { try? await socket.send(#"{"type":"nothing"}"#) }
                    #expect(await Self.closing(socket) == 1008)
                }
                // Each message that was read and refused has a row; those that came too fast are counted.
                try await eventually("the refused messages are in the trail") {
                    let rows = try await bench.rows().filter { $0["action"] == "agents.input" }
                    let counted = rows.filter { $0["rule"] == "rate:messages" }
                    return rows.filter { $0["status"] == "422" }.count >= 40 && counted.count <= 4
                        && counted.map { $0["count"]?.integer ?? 1 }.reduce(0, +) >= 50
                }
                #expect(try await bench.ask("GET", "/ai/agents/\(id)").status == 200)
            }
        }

        @Test("who may not come in is refused before the upgrade, with a problem and a row")
        func refusals() async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await Self.agent(bench, prompt: "echo be''gun")
                let path = "/ai/agents/\(id)/terminal"
                let good = Self.authorization(bench, "developer")
                for (path, headers, status) in [
                    (path, [String](), 401), (path, ["Authorization: Bearer relay_sk_nothing"], 401),
                    (path, [good, "Origin: https://evil.example"], 403),
                    (path, [Self.authorization(bench, "other")], 404), ("/ai/jobs", [good], 404),
                    (path + "?offset=x", [good], 422), ("/ai/agents/\(UUID().uuidString)/terminal", [good], 404),
                ] {
                    let before = try await bench.rows().count
                    try await TestWebSocket.with(port: bench.port, path: path, headers: headers) { socket in
                        #expect(socket.answer.hasPrefix("HTTP/1.1 \(status) "), "\(headers): \(socket.answer)")
                        #expect(socket.answer.contains("urn:orchestra:problem:"))
                    }
                    // Without a principal it is counted instead.
                    #expect(try await bench.rows().count == before + (status == 401 || headers.count > 1 ? 0 : 1))
                }
                let plain = try await bench.ask("GET", path)
                #expect(plain.status == 426 && plain.headers["upgrade"] == "websocket")
            }
        }

        @Test(
            "frames that break the protocol end the connection with its code",
            arguments: [
                (UInt8(1), 3, true, false, 1002), (2, 3, true, true, 1003), (0, 3, true, true, 1002),
                (1, 70_000, true, true, 1009), (9, 126, true, true, 1002), (3, 1, true, true, 1002),
            ])
        func frames(opcode: UInt8, size: Int, isFinal: Bool, isMasked: Bool, code: Int) async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await Self.agent(bench, prompt: "echo be''gun")
                try await TestWebSocket.with(
                    port: bench.port, path: "/ai/agents/\(id)/terminal",
                    headers: [Self.authorization(bench, "developer")]
                ) { socket in
                    try await socket.send(
                        opcode: opcode, [UInt8](repeating: 0x61, count: size), isFinal: isFinal, isMasked: isMasked)
                    #expect(await Self.closing(socket) == code)
                }
                #expect(try await bench.ask("GET", "/ai/agents/\(id)").status == 200)
            }
        }

        @Test(
            "a stream whose client is gone gives its place back at once, though the agent is silent",
            .enabled(if: isInstalled("python3"), "needs python3"),
            arguments: [
                "s.shutdown(socket.SHUT_WR)", "s.close()",
                "s.setsockopt(1, 13, b'\\1\\0\\0\\0\\0\\0\\0\\0'); s.close()",
            ])
        func goneReader(leave: String) async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await Self.agent(bench, prompt: "echo be''gun")
                let request =
                    "GET /ai/agents/\(id)/output HTTP/1.1\r\nHost: localhost\r\n"
                    + "\(Self.authorization(bench, "developer"))\r\n\r\n"
                // All places of one agent, taken by clients that read what there is and leave while nothing comes.
                let script = """
                    import base64, socket, sys, time
                    sockets = []
                    for _ in range(8):
                        s = socket.create_connection(("127.0.0.1", \(bench.port)))
                        s.sendall(sys.argv[1].encode())
                        data = b""
                        while b"begun" not in b"".join(
                            base64.b64decode(l.split(b'"bytes":"')[1].split(b'"')[0])
                            for l in data.split(b"\\n") if b'"bytes":"' in l and l.endswith(b"}")):
                            read = s.recv(65536)
                            if not read: sys.exit("the stream ended: " + data.decode())
                            data += read
                        sockets.append(s)
                    for s in sockets: \(leave)
                    print("left", flush=True)
                    time.sleep(20)
                    """
                let clients = ManagedProcess(
                    "/usr/bin/python3", ["-c", script, request], log: bench.installation.directory + "/clients.log")
                try await bench.installation.startClient(clients)
                try await eventually(within: .seconds(30), "the clients have left") {
                    await clients.output.contains("left")
                }
                // Well before the next comment, which would find out.
                try await eventually(within: .seconds(30), "a stream opens") {
                    let text = try await runProgram(
                        "/usr/bin/curl",
                        [
                            "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "1",
                            "http://127.0.0.1:\(bench.port)/ai/agents/\(id)/output", "-H",
                            Self.authorization(bench, "viewer"),
                        ]
                    ).output
                    return text == "200"
                }
                await clients.kill9()
            }
        }

        @Test("viewers cannot take the places of developers, and messages do not compete with streams")
        func places() async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await Self.agent(bench, prompt: "echo be''gun")
                let path = "/ai/agents/\(id)/terminal"
                try await withThrowingTaskGroup(of: Void.self) { group in
                    let (opened, feed) = AsyncStream.makeStream(of: Bool.self)
                    for _ in 0..<8 {
                        group.addTask {
                            try await TestWebSocket.with(
                                port: bench.port, path: path, headers: [Self.authorization(bench, "viewer")]
                            ) { socket in
                                feed.yield(socket.answer.hasPrefix("HTTP/1.1 101"))
                                while await socket.next() != nil {}
                            }
                        }
                    }
                    var answers: [Bool] = []
                    for await isOpen in opened {
                        answers.append(isOpen)
                        if answers.count == 8 { break }
                    }
                    #expect(answers.filter { $0 }.count == 4)
                    try await TestWebSocket.with(
                        port: bench.port, path: path, headers: [Self.authorization(bench, "developer")]
                    ) { socket in
                        #expect(socket.answer.hasPrefix("HTTP/1.1 101"), "\(socket.answer)")
                        let body: JSONValue = [
                            "text": "true", "message_id": .string(UUID().uuidString.lowercased()),
                        ]
                        let answer = try await bench.ask("POST", "/ai/agents/\(id)/input", json: body.text)
                        #expect(answer.status == 200, "\(answer.body)")
                    }
                    group.cancelAll()
                    while let result = await group.nextResult() { _ = result }
                }
            }
        }

        @Test("a revoked key's open socket and stream are closed")
        func revocation() async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await Self.agent(bench, prompt: "echo be''gun")
                let headers = [Self.authorization(bench, "viewer")]
                async let stream = bench.ask("GET", "/ai/agents/\(id)/output", as: "viewer")
                try await TestWebSocket.with(port: bench.port, path: "/ai/agents/\(id)/terminal", headers: headers) {
                    socket in
                    var seen = Seen()
                    try await Self.read(socket, into: &seen) { $0.shown.contains("begun") }
                    let key = try #require(
                        bench.keys["viewer"]?.split(separator: "_").dropFirst(2).first.map(String.init))
                    #expect(try await bench.installation.command(["keys", "revoke", key]).code == 0)
                    #expect(await Self.closing(socket) == 1008)
                }
                // Without its last event: it was not the agent that ended.
                #expect(!(try await stream).body.contains("event: end"))
            }
        }

        @Test("a flood that is read slowly comes whole, and holds up nobody")
        func flood() async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await Self.agent(bench, prompt: "echo be''gun")
                let size = 3_000_000
                try await TestWebSocket.with(
                    port: bench.port, path: "/ai/agents/\(id)/terminal",
                    headers: [Self.authorization(bench, "developer")]
                ) { socket in
                    var seen = Seen()
                    try await Self.read(socket, into: &seen) { $0.shown.contains("begun") }
                    try await socket.send(
                        Self.input("yes abcdefghi | head -c \(size); echo fin''ished", until: "written"))
                    // Nothing is read for a while; others are served meanwhile.
                    for _ in 0..<10 {
                        #expect(try await bench.ask("GET", "/ai/jobs").status == 200)
                    }
                    try await Self.read(socket, into: &seen) {
                        $0.output.suffix(100).contains(UInt8(ascii: "f")) && $0.output.count > size
                            && String(decoding: $0.output.suffix(4000), as: UTF8.self).contains("finished")
                    }
                    let log = try #require(
                        FileManager.default.contents(
                            atPath: "\(bench.installation.directory)/n1/agents/\(id)/1/output.log"))
                    #expect(Array(log.prefix(seen.output.count)) == seen.output)
                }
            }
        }
    }
}
