import Domain
import Foundation
import TestSupport
import Testing

/// Clients that others wrote, where they are installed: `ops/clients` fetches them into a directory of their own and names it
/// in ORCHESTRA_CLIENTS.
private enum Client {
    static func path(_ name: String) -> String? {
        guard let directory = ProcessInfo.processInfo.environment["ORCHESTRA_CLIENTS"] else { return nil }
        let path = "\(directory)/bin/\(name)"
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }

    static func isThere(_ name: String) -> Bool { self.path(name) != nil && !isRoot && isInstalled("curl") }
}

extension APISuites {
    @Suite("Clients that others wrote", .serialized)
    struct ForeignClientTests {
        @Test(
            "schemathesis finds nothing to say of the document and the answers",
            .enabled(if: Client.isThere("schemathesis"), "schemathesis is not installed; see ops/clients"))
        func schemathesis() async throws {
            try await APIBench.with { bench in
                let program = try #require(Client.path("schemathesis"))
                // One departure: a request id that comes back with other params is invalid (422), not a conflict (409).
                let configuration = """
                    [warnings]
                    fail-on = false
                    [checks.positive_data_acceptance]
                    expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 426, 429, 503]
                    """
                let file = bench.installation.directory + "/schemathesis.toml"
                try configuration.write(toFile: file, atomically: true, encoding: .utf8)
                let url = "http://127.0.0.1:\(bench.port)"
                let result = try await runProgram(
                    "/bin/bash",
                    [
                        "-c", "cd \(bench.installation.directory) && exec \"$@\"", "bash", program, "--config-file",
                        file,
                        "run", url + "/openapi.json", "--url", url, "-H",
                        "Authorization: Bearer \(bench.keys["admin"] ?? "")", "--checks", "all", "--mode", "all",
                        "--phases", "examples,coverage,fuzzing,stateful", "--generation-deterministic",
                        "--max-examples", "50", "--max-time", "60", "--workers", "1", "--continue-on-failure",
                        "--request-timeout", "10", "--no-color",
                    ], within: .seconds(300))
                #expect(result.code == 0, "\(result.output.suffix(6000))")
            }
        }

        @Test(
            "sslyze finds TLS 1.3, its groups and its headers, and nothing else",
            .enabled(if: Client.isThere("sslyze"), "sslyze is not installed; see ops/clients"))
        func sslyze() async throws {
            try await Installation.with { installation in
                let made = try await runProgram(
                    "/bin/bash",
                    [
                        "-c",
                        "cd \(installation.directory) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                            + "-nodes -keyout tls.key -out tls.pem -subj /CN=api -days 2 -addext subjectAltName=IP:127.0.0.1",
                    ])
                #expect(made.code == 0)
                let node = try await APIBench.start(
                    "n1", installation,
                    [
                        "ORCHESTRA_API_TLS_CERTIFICATE_FILE": installation.directory + "/tls.pem",
                        "ORCHESTRA_API_TLS_KEY_FILE": installation.directory + "/tls.key",
                    ])
                let port = try await APIBench.port(of: node)
                let out = installation.directory + "/sslyze.json"
                let scan = try await runProgram(
                    try #require(Client.path("sslyze")),
                    [
                        "--json_out=\(out)", "--certinfo_ca_file", installation.directory + "/tls.pem", "--sslv2",
                        "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--elliptic_curves",
                        "--early_data",
                        "--http_headers", "127.0.0.1:\(port)",
                    ])
                let report = try #require(FileManager.default.contents(atPath: out), "\(scan.errors)")
                let result = try JSONParser.parse(Array(report))["server_scan_results"]?.array?.first?["scan_result"]
                func suites(_ name: String) -> Int? {
                    result?["\(name)_cipher_suites"]?["result"]?["accepted_cipher_suites"]?.array?.count
                }
                for old in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2"] {
                    #expect(suites(old) == 0, "\(old)")
                }
                #expect(suites("tls_1_3") == 3)
                #expect(result?["tls_1_3_early_data"]?["result"]?["supports_early_data"] == false)
                let curves = result?["elliptic_curves"]?["result"]?["supported_curves"]?.array ?? []
                #expect(Set(curves.compactMap { $0["name"]?.string }) == ["X25519", "secp256r1", "secp384r1"])
                let headers = result?["http_headers"]?["result"]?["strict_transport_security_header"]
                #expect((headers?["max_age"]?.integer ?? 0) >= 31_536_000)
                await node.signal(SIGTERM)
                _ = try await node.wait()
            }
        }

        @Test(
            "the websockets library talks to a terminal",
            .enabled(if: Client.isThere("websockets"), "websockets is not installed; see ops/clients"))
        func websockets() async throws {
            try await APIBench.with(withSession: true) { bench in
                let id = try await TerminalAPITests.agent(bench, prompt: "echo be''gun")
                let script = """
                    import asyncio, base64, json, sys, uuid
                    from websockets.asyncio.client import connect
                    async def main(url, key):
                        async with connect(url, additional_headers={"Authorization": "Bearer " + key}, proxy=None) as ws:
                            await (await ws.ping(b"hello"))
                            await ws.send([json.dumps({"type": "input", "text": "echo mar''ker"})[:-1],
                                ', "message_id": "%s", "until": "answered"}' % uuid.uuid4()])
                            shown, receipt = b"", None
                            while b"marker" not in shown or not receipt:
                                message = json.loads(await asyncio.wait_for(ws.recv(), 10))
                                if message["type"] == "output": shown += base64.b64decode(message["bytes"])
                                if message["type"] == "receipt": receipt = message["stage"]
                            print(receipt)
                    asyncio.run(main(sys.argv[1], sys.stdin.read()))
                    """
                let result = try await runProgram(
                    try #require(Client.path("python")),
                    ["-c", script, "ws://127.0.0.1:\(bench.port)/ai/agents/\(id)/terminal"],
                    input: bench.keys["developer"] ?? "")
                #expect(result.output == "answered\n", "\(result.errors)")
            }
        }
    }
}
