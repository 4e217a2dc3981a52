import Agents
import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

extension APISuites {
    /// Two nodes: the agent runs on `n2`, whose API is HTTPS; the client asks `n1`.
    @Suite(
        "Requests for agents of other nodes", .serialized,
        .enabled(
            if: !isRoot && ["curl", "openssl", "python3"].allSatisfy(isInstalled),
            "needs curl, openssl, python3 and an ordinary user"))
    struct ForwardingTests {
        private struct Bench: Sendable {
            let first: APIBench
            let second: ManagedProcess
            let agent: String
            var installation: Installation { self.first.installation }
            var path: String { "/ai/agents/\(self.agent)" }

            /// The rows of the requests for the agent, by node.
            func rows() async throws -> [String] {
                try await self.first.rows().filter { $0["action"] == "agents.read" }.compactMap { $0["node"]?.string }
            }
        }

        private static func makeCertificates(in directory: String) async throws {
            let made = try await runProgram(
                "/bin/bash",
                [
                    "-c",
                    """
                    set -e; cd '\(directory)'; curve='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
                    openssl req -x509 $curve -keyout ca.key -out ca.pem -days 2 -subj /CN=authority
                    openssl req $curve -keyout n2.key -out n2.csr -subj /CN=n2
                    openssl x509 -req -in n2.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 2 -out n2.pem \
                        -extfile <(echo subjectAltName=DNS:localhost)
                    chmod 600 n2.key
                    """,
                ])
            guard made.code == 0 else { throw TestFailure("no certificates: \(made.errors)") }
        }

        /// A port that was free a moment ago.
        static func freePort() async throws -> Int {
            let found = try await runProgram(
                "/usr/bin/python3",
                ["-c", "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])"])
            return try #require(Int(found.output.trimmingCharacters(in: .whitespacesAndNewlines)))
        }

        private static func with(_ body: @escaping @Sendable (Bench) async throws -> Void) async throws {
            try await Installation.with { installation in
                let directory = installation.directory
                try await Self.makeCertificates(in: directory)
                let port = try await Self.freePort()
                let lease = ["ORCHESTRA_QUEUE_LEASE": "30"]
                let second = try await APIBench.start(
                    "n2", installation,
                    [
                        "ORCHESTRA_API_LISTEN": "127.0.0.1:\(port)",
                        "ORCHESTRA_API_ADVERTISE": "https://localhost:\(port)",
                        "ORCHESTRA_API_TLS_CERTIFICATE_FILE": directory + "/n2.pem",
                        "ORCHESTRA_API_TLS_KEY_FILE": directory + "/n2.key",
                    ].merging(lease) { $1 })
                let agent = try await installation.submit("agent.run", ["agent": "shell", "prompt": "sleep 600"])
                try await eventually("the agent runs on n2 and its API is known") {
                    let record = try await installation.record(agent)
                    let known = try await installation.client.send(RedisCommand("EXISTS", "orc:{l0}:api:n2"))
                    let launches = try AgentDirectory(root: directory + "/n2/agents", id: agent).generations
                    return record.state == .running && record.node == "n2" && known.integer == 1 && !launches.isEmpty
                }
                let first = try await APIBench.start(
                    "n1", installation, ["ORCHESTRA_API_FORWARD_CA_FILE": directory + "/ca.pem"].merging(lease) { $1 })
                var keys = ["viewer": try await APIBench.key(installation, role: "viewer", workspace: "acme")]
                keys["developer"] = try await APIBench.key(installation, role: "developer", workspace: "acme")
                keys["other"] = try await APIBench.key(installation, role: "admin", workspace: "other")
                let bench = APIBench(
                    installation: installation, node: first, port: try await APIBench.port(of: first), keys: keys)
                try await body(Bench(first: bench, second: second, agent: agent.description))
                #expect(try await bench.ask("POST", "/ai/agents/\(agent)/stop").status == 202)
                _ = try await installation.ended(agent)
            }
        }

        @Test("the node that is asked answers with what the agent's node says, and both write a row")
        func forwarded() async throws {
            try await Self.with { bench in
                // What an earlier run of the same job left on the node that is asked: not the agent that runs now.
                let stale = AgentDirectory(
                    root: bench.installation.directory + "/n1/agents", id: try JobID(bench.agent))
                try FileManager.default.createDirectory(
                    atPath: stale.generationPath(7), withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o700])
                let answer = try await bench.first.ask("GET", bench.path, as: "viewer", headers: ["X-Request-ID: mine"])
                #expect(answer.status == 200, "\(answer)")
                #expect(try answer.json()["agent_id"]?.string == bench.agent && answer.json()["job_state"] == "running")
                #expect(try answer.json()["launches"] == 1)
                #expect(
                    answer.headers["content-type"] == "application/json" && answer.headers["x-request-id"] == "mine")
                #expect(try await bench.rows().sorted() == ["n1", "n2"])
                for row in try await bench.first.rows() {
                    #expect(row["request_id"] == "mine" && row["status"] == "200" && row["workspace"] == "acme")
                    #expect(row["actor"]?.string?.hasPrefix("key:") == true)
                }
                #expect(try await bench.first.ask("HEAD", bench.path).status == 200)
                // What nobody may see is not asked for elsewhere.
                #expect(try await bench.first.ask("GET", bench.path, as: "other").status == 404)
                #expect(try await bench.first.ask("GET", bench.path, as: nil).status == 401)
                #expect(try await bench.rows().filter { $0 == "n2" }.count == 2)
                // A stream is for the agent's node, whose address is in the answer.
                let stream = try await bench.first.ask("GET", bench.path + "/output")
                #expect(stream.status == 421 && stream.body.contains("'n2'"))
                #expect(stream.body.contains("https://localhost:"), "\(stream.body)")
                // The credential of a caller is in no log.
                let logs = await bench.first.node.output + (await bench.second.output)
                #expect(!logs.contains("relay_sk_"))
            }
        }

        @Test(
            "text, keys and sizes reach the agent by any node, once, with rows on both and the row of the deed on its own"
        )
        func typed() async throws {
            try await Self.with { bench in
                let id = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
                for _ in 0..<2 {
                    let input = try await bench.first.ask(
                        "POST", bench.path + "/input", json: #"{"text":"echo","message_id":"\#(id)","until":"queued"}"#)
                    #expect(input.status == 200, "\(input)")
                    #expect(try input.json()["message_id"]?.string == id)
                }
                let keys = try await bench.first.ask(
                    "POST", bench.path + "/keys",
                    json: #"{"keys":["C-u"],"message_id":"\#(UUID().uuidString.lowercased())","until":"queued"}"#)
                #expect(keys.status == 200, "\(keys)")
                let size = try await bench.first.ask(
                    "POST", bench.path + "/size", json: #"{"columns":120,"rows":40}"#)
                #expect(try size.status == 200 && size.json()["columns"]?.integer == 120, "\(size)")
                // What the other node refuses is refused here in its words; what this one refuses goes nowhere.
                let wrong = try await bench.first.ask("POST", bench.path + "/size", json: #"{"columns":1,"rows":40}"#)
                #expect(wrong.status == 422)
                #expect(
                    try await bench.first.ask("POST", bench.path + "/input", as: "viewer", json: "{}").status == 403)
                let requests = try await bench.first.rows().filter { $0["action"] == "agents.input" }
                    .compactMap { $0["node"]?.string }
                #expect(requests.filter { $0 == "n2" }.count == 4 && requests.filter { $0 == "n1" }.count == 6)
                for (kind, count) in [("agent.input", 3), ("agent.resized", 1)] {
                    let rows = try await bench.first.rows(kind)
                    #expect(rows.count == count && rows.allSatisfy { $0["node"] == "n2" }, "\(kind): \(rows)")
                }
            }
        }

        @Test("a request is never forwarded twice, nor to an address that no node wrote, nor past a certificate")
        func notForwarded() async throws {
            try await Self.with { bench in
                let marked = try await bench.first.ask(
                    "GET", bench.path, headers: ["Orchestra-Forwarded-By: n9"])
                #expect(marked.status == 421 && marked.body.contains("not forwarded twice"))
                #expect(try await bench.rows() == ["n1"])
                // A node that does not know the authority of the other's certificate.
                let third = try await APIBench.start("n3", bench.installation, ["ORCHESTRA_QUEUE_LEASE": "30"])
                let port = try await APIBench.port(of: third)
                let distrusted = try await bench.first.ask("GET", bench.path, port: port)
                #expect(distrusted.status == 502 && distrusted.body.contains("bad-gateway"), "\(distrusted)")
                #expect(try await bench.rows() == ["n1", "n3"])
                // n2 stands still and does not write its address again.
                await bench.second.signal(SIGSTOP)
                let silent = try await bench.first.ask("GET", bench.path)
                #expect(silent.status == 503 && silent.headers["retry-after"] != nil, "\(silent)")
                let now = try await bench.installation.queue.time()
                let key = "orc:{l0}:api:n2"
                _ = try await bench.installation.client.send(
                    RedisCommand(
                        "SET", key, "\(now) http://127.0.0.1:\(bench.first.port) \(String(repeating: "0", count: 64))"))
                let forged = try await bench.first.ask("GET", bench.path)
                #expect(forged.status == 421 && forged.body.contains("api.advertise"), "\(forged)")
                _ = try await bench.installation.client.send(RedisCommand("DEL", key))
                let unknown = try await bench.first.ask("GET", bench.path)
                #expect(unknown.status == 421 && unknown.body.contains("api.advertise"), "\(unknown)")
                await bench.second.signal(SIGCONT)
                try await eventually("n2 has written its address again") {
                    try await bench.first.ask("GET", bench.path).status == 200
                }
            }
        }
    }
}
