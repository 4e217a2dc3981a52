import Domain
import Foundation
import Redis
import TestSupport
import Testing

extension APISuites {
    @Suite("The API", .serialized, .enabled(if: !isRoot && isInstalled("curl"), "needs curl and an ordinary user"))
    struct APITests {
        @Test(
            "a request is asked, run once, read back, and is in the audit trail; the same request id answers the same job"
        )
        func execute() async throws {
            try await APIBench.with { bench in
                let id = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
                let body = APIBench.execute("shell.run", #"{"command":"echo marker-$((6*7))"}"#, id: id)
                let first = try await bench.ask("POST", "/ai/execute", json: body)
                #expect(first.status == 202, "\(first.body)")
                let job = try #require(try first.json()["job_id"]?.string)
                #expect(first.headers["location"] == "/ai/jobs/\(job)")
                let again = try await bench.ask("POST", "/ai/execute", json: body)
                #expect(again.status == 200)
                #expect(try again.json()["job_id"]?.string == job && again.json()["duplicate"] == true)
                let other = try await bench.ask(
                    "POST", "/ai/execute", json: APIBench.execute("queue.noop", "{}", id: id))
                #expect(other.status == 422)
                _ = try await bench.installation.ended(try JobID(job))
                let read = try await bench.ask("GET", "/ai/jobs/\(job)", as: "viewer")
                #expect(try read.json()["result"]?["stdout"]?.string == "marker-42\n")
                let list = try await bench.ask("GET", "/ai/jobs?limit=1&state=completed&action=shell.run", as: "viewer")
                #expect(try list.json()["jobs"]?.array?.count == 1)
                #expect((try await bench.ask("GET", "/ai/jobs?state=available")).body.contains(#""jobs":[]"#))
                let rows = try await bench.rows()
                #expect(
                    rows.map { $0["action"]?.string } == [
                        "jobs.execute", "jobs.execute", "jobs.execute", "jobs.read", "jobs.list", "jobs.list",
                    ])
                #expect(rows.map { $0["status"]?.string } == ["202", "200", "422", "200", "200", "200"])
                for row in rows {
                    #expect(row["workspace"] == "acme" && row["address"] == "127.0.0.1" && row["request_id"] != nil)
                }
                #expect(rows[0]["params_hmac"]?.string?.count == 64)
                // Neither the params nor the key stand anywhere in the trail.
                let trail = try await bench.installation.client.auditEntries()
                let shown = String(decoding: trail.flatMap { Self.allBytes($0) }, as: UTF8.self)
                #expect(!shown.contains("marker-") && !shown.contains("relay_sk_"))
                #expect(!(await bench.node.output.contains("relay_sk_")))
            }
        }

        private static func allBytes(_ value: RESPValue) -> [UInt8] {
            value.elements.isEmpty ? Array(value.bytes) : value.elements.flatMap { self.allBytes($0) }
        }

        @Test("what a job was submitted with is read back, over the API and the command line, before and after its end")
        func terms() async throws {
            try await APIBench.with { bench in
                let body = #"""
                    {"action":"queue.noop","params":{},"client_request_id":"\#(UUID().uuidString.lowercased())",
                    "priority":"low","delay_seconds":2,"deadline":"2100-01-01T00:00:00Z","unique_key":"the only one"}
                    """#
                let first = try await bench.ask("POST", "/ai/execute", json: body)
                #expect(first.status == 202, "\(first.body)")
                let job = try #require(try first.json()["job_id"]?.string)
                for isEnded in [false, true] {
                    if isEnded {
                        try await eventually("it ends") {
                            try await bench.ask("GET", "/ai/jobs/\(job)").json()["state"]?.string == "completed"
                        }
                    }
                    let shown = try await bench.ask("GET", "/ai/jobs/\(job)").json()
                    #expect(shown["priority"]?.string == "low" && shown["unique_key"]?.string == "the only one")
                    #expect(shown["deadline"]?.string == "2100-01-01T00:00:00.000Z")
                    #expect(shown["run_at"]?.string?.hasPrefix("20") == true)
                    let text = try await bench.installation.command(
                        ["jobs", "show", job], change: ["ORCHESTRA_WORKSPACE": "acme"]
                    ).output
                    #expect(text.contains("priority     low") && text.contains("unique key   the only one"), "\(text)")
                    #expect(text.contains("deadline     2100-01-01T00:00:00Z") && text.contains("not before   20"))
                }
            }
        }

        @Test("every role can do what its scopes say and nothing else, and a workspace sees only its own")
        func matrix() async throws {
            try await APIBench.with { bench in
                let job = try await bench.installation.submit("queue.noop", .object([]))
                _ = try await bench.installation.ended(job)
                let reading = [
                    ("GET", "/ai/jobs"), ("GET", "/ai/jobs/\(job)"), ("GET", "/ai/agents"), ("POST", "/ai/plan"),
                ]
                let writing = [
                    ("POST", "/ai/execute"), ("POST", "/ai/jobs/\(job)/cancel"), ("POST", "/ai/jobs/\(job)/retry"),
                    ("POST", "/ai/agents"), ("POST", "/ai/agents/\(job)/input"), ("POST", "/ai/agents/\(job)/stop"),
                ]
                for (role, mayRead, mayWrite, mayAudit) in [
                    ("viewer", true, false, false), ("developer", true, true, false), ("admin", true, true, true),
                ] {
                    for (allowed, requests) in [
                        (mayRead, reading), (mayWrite, writing), (mayAudit, [("GET", "/audit")]),
                    ] {
                        for (method, path) in requests {
                            let answer = try await bench.ask(
                                method, path, as: role, json: method == "POST" ? "{}" : nil)
                            #expect((answer.status == 403) == !allowed, "\(role) \(method) \(path): \(answer.status)")
                            #expect(answer.status < 500)
                        }
                    }
                }
                for (method, path) in reading + writing + [("GET", "/audit")] {
                    let answer = try await bench.ask(method, path, as: nil, json: method == "POST" ? "{}" : nil)
                    #expect(answer.status == 401, "\(method) \(path)")
                    #expect(answer.headers["www-authenticate"]?.hasPrefix("Bearer") == true)
                }
                // Another workspace's admin: whatever it asks for, the job is not there.
                for (method, path) in [("GET", "/ai/jobs/\(job)"), ("POST", "/ai/jobs/\(job)/cancel")] {
                    #expect(try await bench.ask(method, path, as: "other").status == 404)
                }
                for path in ["/ai/jobs?workspace=acme", "/ai/jobs?workspace_id=acme"] {
                    #expect(try await bench.ask("GET", path, as: "other").status == 422)
                }
                let foreign = try await bench.ask(
                    "GET", "/ai/jobs", as: "other", headers: ["X-Workspace: acme", "X-Workspace-ID: acme"])
                #expect(try foreign.json()["jobs"]?.array?.isEmpty == true)
                let audit = try await bench.ask("GET", "/audit?limit=200", as: "other")
                let workspaces = try audit.json()["events"]?.array?.map { $0["workspace"]?.string } ?? []
                #expect(!workspaces.isEmpty && workspaces.allSatisfy { $0 == "other" })
                // A stored row that cannot be read hides no other.
                _ = try await bench.installation.client.send(
                    RedisCommand("XADD", "orc:{l0}:w:other:audit", "*", "e", "{broken"))
                let kinds = try await bench.ask("GET", "/audit?limit=200", as: "other").json()["events"]?.array?.map {
                    $0["kind"]?.string
                }
                #expect(kinds?.filter { $0 == "audit.unreadable" }.count == 1 && kinds?.contains("api.request") == true)
            }
        }

        @Test("an action that is not allowed is 403 with its name and without the list; params that do not fit are 422")
        func actions() async throws {
            try await APIBench.with { bench in
                for action in ["rm.rf", "shell.runn", "no.such"] {
                    let answer = try await bench.ask("POST", "/ai/execute", json: APIBench.execute(action, "{}"))
                    #expect(answer.status == 403)
                    #expect(answer.headers["content-type"] == "application/problem+json")
                    #expect(answer.body.contains(action) && !answer.body.contains("queue.noop"))
                }
                for params in ["{}", #"{"command":1}"#, #"{"command":"x","sudo":true}"#, #"{"command":""}"#] {
                    let answer = try await bench.ask("POST", "/ai/execute", json: APIBench.execute("shell.run", params))
                    #expect(answer.status == 422, "\(params)")
                }
                #expect(
                    try await bench.installation.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:s:2")).integer == 0)
                let plan = try await bench.ask(
                    "POST", "/ai/plan", as: "viewer",
                    json: """
                        {"steps":[{"id":"b","action":"shell.run","params":{"command":"x"},"depends_on":["a"]},
                        {"id":"a","action":"no.such","params":{}}]}
                        """)
                #expect(try plan.json()["allowed"] == false && plan.json()["order"] == ["a", "b"])
                let circle = try await bench.ask(
                    "POST", "/ai/plan", as: "viewer",
                    json: #"{"steps":[{"id":"a","action":"queue.noop","params":{},"depends_on":["a"]}]}"#)
                #expect(circle.status == 409 && circle.body.contains("circle"))
            }
        }

        @Test("hostile requests end in a 4xx with one sentence, nothing is queued, and the next client is served")
        func hostile() async throws {
            try await APIBench.with { bench in
                let key = "Authorization: Bearer \(bench.keys["admin"] ?? "")"
                let head = "Host: localhost\r\nConnection: close\r\n\(key)\r\n"
                let json = "Content-Type: application/json\r\n"
                let requests: [(String, ClosedRange<Int>)] = [
                    ("GET /ai/jobs HTTP/1.1\r\nConnection: close\r\n\(key)\r\n\r\n", 400...400),
                    ("GET /ai/jobs HTTP/1.1\r\nConnection: close\r\nHost: evil.example\r\n\(key)\r\n\r\n", 421...421),
                    (
                        "GET /ai/jobs HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nHost: localhost\r\n\(key)\r\n\r\n",
                        400...400
                    ),
                    ("GET /ai/jobs HTTP/1.1\r\n\(head)Origin: https://evil.example\r\n\r\n", 403...403),
                    ("GET /ai/jobs HTTP/1.1\r\n\(head)Origin: null\r\n\r\n", 403...403),
                    ("GET /ai/jobs HTTP/1.1\r\n\(head)\(key)\r\n\r\n", 400...400),
                    ("GET /ai/%6aobs HTTP/1.1\r\n\(head)\r\n", 400...400),
                    ("GET /ai/../audit HTTP/1.1\r\n\(head)\r\n", 400...400),
                    ("GET //ai/jobs HTTP/1.1\r\n\(head)\r\n", 400...400),
                    ("GET /ai/jobs?limit=1&limit=2 HTTP/1.1\r\n\(head)\r\n", 422...422),
                    ("GET /ai/jobs?limit=99999999999999999999 HTTP/1.1\r\n\(head)\r\n", 422...422),
                    ("GET /ai/jobs/%00 HTTP/1.1\r\n\(head)\r\n", 400...400),
                    ("GET /ai/jobs/\(String(repeating: "a", count: 3000)) HTTP/1.1\r\n\(head)\r\n", 400...400),
                    ("BREW /ai/jobs HTTP/1.1\r\n\(head)\r\n", 501...501),
                    ("PURGE /ai/jobs HTTP/1.1\r\n\(head)\r\n", 501...501),
                    ("GET /ai/jobs RTSP/1.0\r\n\(head)\r\n", 400...400),
                    ("GET http://evil.example/ai/jobs HTTP/1.1\r\n\(head)\r\n", 421...421),
                    ("GET ftp://localhost/ai/jobs HTTP/1.1\r\n\(head)\r\n", 400...400),
                    (
                        "POST /ai/execute HTTP/1.1\r\n\(head)\(json)Expect: 100-continue\r\nContent-Length: 9223372036854775808\r\n\r\n",
                        413...413
                    ),
                    (
                        "POST /ai/execute HTTP/1.1\r\n\(head)\(json)Transfer-Encoding: chunked\r\n\r\n2;\(String(repeating: "a", count: 20_000))\r\n{}\r\n0\r\n\r\n",
                        400...400
                    ),
                    ("TRACE /ai/jobs HTTP/1.1\r\n\(head)\r\n", 405...405),
                    (
                        "POST /ai/execute HTTP/1.1\r\n\(head)\(json)Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                        400...400
                    ),
                    (
                        "POST /ai/execute HTTP/1.1\r\n\(head)\(json)Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                        400...400
                    ),
                    ("POST /ai/execute HTTP/1.1\r\n\(head)\(json)Content-Length: 9999999\r\n\r\n", 413...413),
                    (
                        "POST /ai/execute HTTP/1.1\r\n\(head)Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
                        415...415
                    ),
                    (
                        "POST /ai/execute HTTP/1.1\r\n\(head)\(json)Content-Length: 13\r\n\r\n{\"a\":1,\"a\":2}",
                        400...400
                    ),
                    ("POST /ai/execute HTTP/1.1\r\n\(head)\(json)Content-Length: 4\r\n\r\nnull", 422...422),
                    ("POST /ai/execute HTTP/1.1\r\n\(head)\(json)Content-Length: 2\r\n\r\n{", 400...408),
                    (
                        "GET /ai/jobs HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nAuthorization: Basic eDp5\r\n\r\n",
                        401...401
                    ),
                    (
                        "GET /ai/jobs HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nAuthorization: Bearer \r\n\r\n",
                        401...401
                    ),
                    (
                        "GET /ai/jobs?access_token=\(bench.keys["admin"] ?? "") HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n\r\n",
                        401...401
                    ),
                    (
                        "GET /ai/jobs HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nX-Long: \(String(repeating: "a", count: 9000))\r\n\r\n",
                        400...431
                    ),
                ]
                for (request, expected) in requests {
                    let text = try await bench.raw(request)
                    guard text.hasPrefix("HTTP/1.1 ") else {
                        Issue.record("no answer to \(request.prefix(200))")
                        continue
                    }
                    let answer = try APIBench.parse(text)
                    #expect(expected.contains(answer.status), "\(request.prefix(90)) → \(answer.status) \(answer.body)")
                    #expect(!text.contains("relay_sk_"))
                    #expect(answer.headers["content-type"] == "application/problem+json", "\(request.prefix(90))")
                }
                // A credential where a name or an id should stand is in no row either.
                let misplaced = "relay_sk_abcdefghijklmnop_secretsecretsecret"
                for body in [
                    APIBench.execute("shell.run", #"{"\#(misplaced)":1}"#), APIBench.execute(misplaced, "{}"),
                    APIBench.execute("shell.run", "{}", id: misplaced),
                ] {
                    let answer = try await bench.ask("POST", "/ai/execute", json: body)
                    #expect(answer.status == 422 && !answer.body.contains("secretsecret"), "\(answer.body)")
                }
                for kind in ["api.request", "job.denied", "job.submitted"] {
                    #expect(try await !bench.rows(kind).contains { $0.text.contains("abcdefghijklmnop") })
                }
                let deep = String(repeating: "[", count: 20_000)
                #expect(try await bench.ask("POST", "/ai/execute", json: deep).status == 400)
                let good = try await bench.ask("GET", "/ai/jobs")
                #expect(good.status == 200 && good.body.contains(#""jobs":[]"#))
                // Each is in the trail, also bytes that were no request; five more are the ones above. Those without a
                // principal are counted, and their rows are written when the node stops at the latest.
                await bench.node.signal(SIGTERM)
                _ = try await bench.node.wait()
                let rows = try await bench.rows()
                #expect(rows.map { Int($0["count"]?.integer ?? 1) }.reduce(0, +) == requests.count + 5)
            }
        }

        @Test("any number of requests without a credential costs one row for their address, with their count")
        func anonymous() async throws {
            try await APIBench.with(environment: ["ORCHESTRA_API_ADDRESS_RATE": "50"]) { bench in
                let request = "GET /ai/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n"
                let last = "GET /ai/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                _ = try await bench.raw(String(repeating: request, count: 299) + last)
                #expect(try await bench.rows().isEmpty)
                await bench.node.signal(SIGTERM)
                _ = try await bench.node.wait()
                let rows = try await bench.rows()
                #expect(rows.count == 1 && rows.first?["count"] == 300 && rows.first?["address"] == "127.0.0.1")
                #expect(rows.first?["status"] == "401,429")
                // No workspace owns the row; the operator reads it.
                let shown = try await bench.installation.command(["audit", "--without-workspace"])
                #expect(shown.output.contains("401,429  127.0.0.1"), "\(shown.output)\(shown.errors)")
                #expect(try await !bench.installation.command(["audit"]).output.contains("401,429"))
            }
        }

        @Test(
            "a client of one address that keeps many silent connections does not delay those of others",
            .enabled(if: isInstalled("python3"), "needs python3"))
        func silent() async throws {
            try await APIBench.with { bench in
                // More than its share from one address, all silent.
                let script = """
                    import socket, sys, time
                    sockets = []
                    for _ in range(700):
                        s = socket.socket()
                        s.bind(("127.0.2.1", 0))
                        s.settimeout(5)
                        try: s.connect(("127.0.0.1", \(bench.port)))
                        except OSError: continue
                        sockets.append(s)
                    print("open", flush=True)
                    time.sleep(30)
                    """
                let flood = ManagedProcess(
                    "/usr/bin/python3", ["-c", script], log: bench.installation.directory + "/flood.log")
                try await bench.installation.startClient(flood)
                try await eventually(within: .seconds(30), "the connections are open") {
                    await flood.output.contains("open")
                }
                #expect(try await bench.ask("GET", "/ai/jobs").status == 200)
                await flood.kill9()
            }
        }

        @Test("a revoked key is refused on every node within five seconds, and another workspace's goes on")
        func revocation() async throws {
            try await APIBench.with { bench in
                let second = try await APIBench.start("n2", bench.installation)
                let port = try await APIBench.port(of: second)
                for port in [bench.port, port] {
                    #expect(try await bench.ask("GET", "/ai/jobs", as: "viewer", port: port).status == 200)
                }
                let id = try #require(bench.keys["viewer"]?.split(separator: "_").dropFirst(2).first.map(String.init))
                #expect(try await bench.installation.command(["keys", "revoke", id]).code == 0)
                for port in [bench.port, port] {
                    try await eventually(within: .seconds(30), "it is refused") {
                        try await bench.ask("GET", "/ai/jobs", as: "viewer", port: port).status == 401
                    }
                    #expect(try await bench.ask("GET", "/ai/jobs", as: "other", port: port).status == 200)
                }
                let listed = try await bench.installation.command(["keys", "list"])
                #expect(listed.output.contains("\(id)  revoked  acme  viewer"))
                let rows = try await bench.rows("key.revoked")
                #expect(rows.count == 1 && rows[0]["action"]?.string == id)
                await second.signal(SIGTERM)
                _ = try await second.wait()
            }
        }

        @Test("a limit holds over all nodes: of 100 a minute on two nodes 100 pass, give or take two")
        func limits() async throws {
            try await APIBench.with(environment: ["ORCHESTRA_API_WORKSPACE_RATE": "100"]) { bench in
                let second = try await APIBench.start("n2", bench.installation, ["ORCHESTRA_API_WORKSPACE_RATE": "100"])
                let ports = [bench.port, try await APIBench.port(of: second)]
                var statuses: [Int: Int] = [:]
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for number in 0..<8 {
                        group.addTask {
                            var passed = 0
                            for _ in 0..<30 {
                                let answer = try await bench.ask("GET", "/ai/jobs", port: ports[number % 2])
                                if answer.status == 200 { passed += 1 }
                                if answer.status == 429 {
                                    #expect(answer.headers["retry-after"] != nil)
                                    #expect(answer.headers["ratelimit-policy"] == #""default";q=100;w=60"#)
                                } else {
                                    #expect(answer.status == 200)
                                }
                            }
                            return passed
                        }
                    }
                    for try await passed in group { statuses[200, default: 0] += passed }
                }
                #expect((98...102).contains(statuses[200] ?? 0), "\(statuses)")
                // Another workspace does not notice.
                #expect(try await bench.ask("GET", "/ai/jobs", as: "other").status == 200)
                await second.signal(SIGTERM)
                _ = try await second.wait()
            }
        }

        @Test("without Redis nothing is answered as if it were known, and everything is again when it is back")
        func outage() async throws {
            try await APIBench.with { bench in
                #expect(try await bench.ask("GET", "/ai/jobs").status == 200)
                await bench.installation.redis.process.kill9()
                let away = try await bench.ask("GET", "/ai/jobs")
                #expect(away.status == 503)
                #expect(away.headers["retry-after"] != nil)
                try await bench.installation.redis.start()
                try await eventually("it answers again") { try await bench.ask("GET", "/ai/jobs").status == 200 }
            }
        }

        @Test("the document names exactly what the router answers, and every answer carries its headers")
        func document() async throws {
            try await APIBench.with(environment: ["ORCHESTRA_API_ORIGINS": "https://console.example"]) { bench in
                let document = try await bench.ask("GET", "/openapi.json", as: nil).json()
                #expect(document["openapi"] == "3.1.0")
                let id = "01a2031b-2da8-7413-a651-8bdcdcbfbb1c"
                for path in document["paths"]?.members ?? [] {
                    let known = Set(path.value.members?.map(\.name) ?? []).subtracting(["parameters"])
                    let url = path.name.replacingOccurrences(of: "{id}", with: id)
                    for method in ["get", "post", "put", "patch", "delete"] {
                        let answer = try await bench.ask(method.uppercased(), url, as: "admin")
                        #expect((answer.status == 405) == !known.contains(method), "\(method) \(path.name)")
                        if known.contains(method) {
                            let statuses = path.value[method]?["responses"]?.members?.map(\.name) ?? []
                            #expect(
                                statuses.contains(String(answer.status)), "\(method) \(path.name): \(answer.status)")
                        } else {
                            #expect(answer.headers["allow"] != nil)
                        }
                        #expect(answer.headers["x-content-type-options"] == "nosniff")
                        #expect(answer.headers["cache-control"] == "no-store" && answer.headers["server"] == nil)
                    }
                }
                let allowed = try await bench.ask("GET", "/ai/jobs", headers: ["Origin: https://console.example"])
                #expect(allowed.headers["access-control-allow-origin"] == "https://console.example")
                for origin in [
                    "https://console.example.evil", "https://evil.console.example", "http://console.example",
                    "https://console.example:444", "https://CONSOLE.example", "null",
                ] {
                    let answer = try await bench.ask("GET", "/ai/jobs", headers: ["Origin: \(origin)"])
                    #expect(answer.status == 403 && answer.headers["access-control-allow-origin"] == nil, "\(origin)")
                }
                let asked = try await bench.ask(
                    "OPTIONS", "/ai/execute", as: nil,
                    headers: ["Origin: https://console.example", "Access-Control-Request-Method: POST"])
                #expect(asked.status == 204 && asked.headers["access-control-allow-methods"] != nil)
                let traced = try await bench.ask(
                    "GET", "/ai/jobs",
                    headers: [
                        "X-Request-ID: mine-1", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                    ])
                #expect(traced.headers["x-request-id"] == "mine-1" && traced.headers["traceparent"] != nil)
                #expect(try await bench.ask("HEAD", "/ai/jobs").body.isEmpty)
            }
        }

        @Test(
            "an API that others could reach is not served without TLS, nor at what is no address",
            arguments: [
                "0.0.0.0:0", "[::]:0", "192.0.2.1:80", "nonsense", "127.0.0.1", "127.0.0.1:70000", "unix:relative",
            ])
        func addresses(text: String) async throws {
            try await Installation.with { installation in
                var environment = installation.environment(node: "n1")
                environment["ORCHESTRA_API_LISTEN"] = text
                let node = try await runProgram(buildDirectory + "/orchestra", ["worker"], environment: environment)
                #expect(node.code == 78, "\(node.errors)")
                #expect(node.errors.contains("api.listen"))
            }
        }
    }
}
