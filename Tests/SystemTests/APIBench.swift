import Domain
import Foundation
import Redis
import TestSupport
import Testing

/// A node's API, and keys for it.
struct APIBench: Sendable {
    let installation: Installation
    let node: ManagedProcess
    let port: Int
    /// By role, of the workspace acme; `other` is another workspace's admin.
    let keys: [String: String]

    static func with(
        environment change: [String: String] = [:], withSession: Bool = false,
        _ body: @escaping @Sendable (APIBench) async throws -> Void
    ) async throws {
        try await Installation.with { installation in
            let more = withSession ? try Self.addSession(to: installation) : [:]
            let node = try await Self.start("n1", installation, change.merging(more) { $1 })
            var keys: [String: String] = [:]
            for role in ["viewer", "developer", "admin"] {
                keys[role] = try await Self.key(installation, role: role, workspace: "acme")
            }
            keys["other"] = try await Self.key(installation, role: "admin", workspace: "other")
            try await body(
                APIBench(installation: installation, node: node, port: try await Self.port(of: node), keys: keys))
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    /// An agent that stays when its prompt is done, and a node that does not wait for it when it stops.
    private static func addSession(to installation: Installation) throws -> [String: String] {
        let policies = installation.directory + "/p"
        try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: policies)
        let definition = """
            {"name": "session", "summary": "a shell that stays", "argv": ["/bin/bash", "--noprofile", "--norc", "-i"],
            "environment": {"HISTFILE": ""}, "closing": []}
            """
        try Data(definition.utf8).write(to: URL(fileURLWithPath: policies + "/agents/session.json"))
        return ["ORCHESTRA_POLICIES_DIRECTORY": policies, "ORCHESTRA_WORKER_GRACE": "0"]
    }

    static func start(
        _ name: String, _ installation: Installation, _ change: [String: String] = [:]
    ) async throws -> ManagedProcess {
        var environment = installation.environment(node: name)
        environment["ORCHESTRA_API_LISTEN"] = "127.0.0.1:0"
        let node = ManagedProcess(
            buildDirectory + "/orchestra", ["worker"], environment: environment.merging(change) { $1 },
            log: "\(installation.directory)/\(name).log")
        try await installation.start(node)
        return node
    }

    static func key(_ installation: Installation, role: String, workspace: String) async throws -> String {
        let made = try await installation.command(
            ["keys", "create", "--role", role, "--label", "test"], change: ["ORCHESTRA_WORKSPACE": workspace])
        guard made.code == 0 else { throw TestFailure(made.errors) }
        return made.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Out of the log, where the node says which port it got.
    static func port(of node: ManagedProcess) async throws -> Int {
        for line in await node.output.split(separator: "\n") where line.contains("the API is open") {
            if let text = try JSONParser.parse(Array(line.utf8))["api.port"]?.string, let port = Int(text) {
                return port
            }
        }
        throw TestFailure("the node does not say where its API is")
    }

    struct Answer: Sendable {
        let status: Int
        let headers: [String: String]
        let body: String
        func json() throws -> JSONValue { try JSONParser.parse(Array(self.body.utf8)) }
    }

    /// Asks by curl, a client that nobody here wrote.
    func ask(
        _ method: String = "GET", _ path: String, as role: String? = "developer", json: String? = nil,
        headers: [String] = [], port: Int? = nil
    ) async throws -> Answer {
        var arguments = [
            "-s", "-i", "--max-time", "20", "--path-as-is", "-X", method,
            "http://127.0.0.1:\(port ?? self.port)\(path)",
        ]
        if method == "HEAD" { arguments += ["-I"] }
        if let role { arguments += ["-H", "Authorization: Bearer \(self.keys[role] ?? role)"] }
        if let json { arguments += ["-H", "Content-Type: application/json", "--data-binary", json] }
        for header in headers { arguments += ["-H", header] }
        let result = try await runProgram("/usr/bin/curl", arguments)
        // 18: the server closed in the middle of an answer.
        guard result.code == 0 || result.code == 18 else {
            throw TestFailure("curl ended with \(result.code): \(result.errors)")
        }
        return try Self.parse(result.output)
    }

    static func parse(_ text: String) throws -> Answer {
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        let lines = parts[0].components(separatedBy: "\r\n")
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw TestFailure("no answer: \(text.prefix(200))")
        }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let pair = line.split(separator: ":", maxSplits: 1)
            if pair.count == 2 { headers[pair[0].lowercased()] = pair[1].trimmingCharacters(in: .whitespaces) }
        }
        return Answer(status: status, headers: headers, body: parts.count == 2 ? String(parts[1]) : "")
    }

    /// Sends bytes as they are and reads until the server closes, or says nothing more for a second.
    func raw(_ bytes: [UInt8], port: Int? = nil) async throws -> String {
        let text = bytes.map { String(format: "\\x%02x", $0) }.joined()
        let script = "exec 3<>/dev/tcp/127.0.0.1/\(port ?? self.port); printf '\(text)' >&3; timeout 15 cat <&3; true"
        return try await runProgram("/bin/bash", ["-c", script]).output
    }

    func raw(_ text: String) async throws -> String { try await self.raw(Array(text.utf8)) }

    /// Rows of the trail of a kind, the oldest first.
    func rows(_ kind: String = "api.request") async throws -> [JSONValue] {
        var rows: [JSONValue] = []
        for entry in try await self.installation.client.auditEntries() {
            for field in entry.elements[1].elements where field.bytes.first == UInt8(ascii: "{") {
                let event = try JSONParser.parse(Array(field.bytes))
                if event["kind"]?.string == kind { rows.append(event) }
            }
        }
        return rows
    }

    static func execute(_ action: String, _ params: String, id: String = UUID().uuidString.lowercased()) -> String {
        #"{"action":"\#(action)","params":\#(params),"client_request_id":"\#(id)"}"#
    }
}
