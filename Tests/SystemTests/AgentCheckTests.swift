import Domain
import Foundation
import TestSupport
import Testing

/// `orchestra agents check` with programs that every host has.
@Suite("The check of an agent", .serialized, .enabled(if: !isRoot, "sandboxes are tried as an ordinary user"))
struct AgentCheckTests {
    private static func check(
        _ agent: String, in directory: String, policies: String = packageRoot + "/Policies"
    ) async throws -> (code: Int32, fields: [String: String], errors: String) {
        let result = try await runProgram(
            buildDirectory + "/orchestra", ["agents", "check", agent, "--json"],
            environment: [
                "HOME": directory, "ORCHESTRA_STATE_DIRECTORY": directory + "/state",
                "ORCHESTRA_POLICIES_DIRECTORY": policies, "ENV": "production",
                "REDIS_URL": "unix://\(directory)/nowhere.sock", "ORCHESTRA_MASTER_KEY": Installation.master,
            ])
        let line = Array(result.output.utf8.filter { $0 != UInt8(ascii: "\n") })
        let report = line.isEmpty ? JSONValue.null : try JSONParser.parse(line)
        var fields: [String: String] = [:]
        for field in report["fields"]?.array ?? [] {
            fields[field["field"]?.string ?? ""] = field["result"]?.string
        }
        return (result.code, fields, result.errors)
    }

    @Test("a program in a terminal gets its prompt once its screen is ready, and what needs a model is not tried")
    func terminal() async throws {
        try await withDirectory { directory in
            let result = try await Self.check("shell", in: directory)
            #expect(result.code == 0, "\(result)")
            let held = result.fields.filter { $0.value == "held" }.keys
            #expect(Set(held) == ["probe", "start", "ready", "prompt", "exit", "network"], "\(result)")
            #expect(result.fields.values.allSatisfy { $0 != "not held" })
            let left = try FileManager.default.contentsOfDirectory(atPath: directory + "/state")
            #expect(!left.contains("agents-check"), "\(left)")
        }
    }

    @Test(
        "a program that calls the model and does no more is found out: no edit, and a success after a spent budget",
        .enabled(if: isInstalled("curl"), "needs curl"))
    func careless() async throws {
        try await withDirectory { directory in
            let policies = directory + "/policies"
            try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: policies)
            let files: [String: JSONValue] = [
                "sandbox/model.json": ["name": "model", "summary": "Reaches a model.", "egress": ["anthropic"]],
                "agents/careless.json": [
                    "name": "careless", "summary": "Asks the model once.", "prompt": "argument", "sandbox": "model",
                    "argv": [
                        "/bin/bash", "-c",
                        .string(
                            #"""
                            tools='[{"name":"Bash","input_schema":{"properties":{"command":{"type":"string"}}}}]'
                            body="{\"model\":\"m\",\"tools\":$tools,\"messages\":[{\"role\":\"user\",\"content\":\"$1\"}]}"
                            curl -sS -H "x-api-key: $ANTHROPIC_API_KEY" -H 'content-type: application/json' -d "$body" \
                                "$ANTHROPIC_BASE_URL/v1/messages"
                            """#), "agent", "{prompt}",
                    ],
                ],
            ]
            for (name, value) in files {
                try Data(value.bytes).write(to: URL(fileURLWithPath: "\(policies)/\(name)"))
            }
            let result = try await Self.check("careless", in: directory, policies: policies)
            #expect(result.code == 1, "\(result)")
            let expected = [
                "probe": "not tried", "start": "held", "ready": "not tried", "prompt": "held", "model": "held",
                "credential": "held", "edit": "not held", "exit": "held", "network": "held", "throttle": "held",
                "budget": "not held", "stop": "held", "resume": "not tried",
            ]
            #expect(result.fields == expected, "\(result)")
        }
    }

    @Test("a program that is not installed is status 69, with where it was looked for; an unknown agent is status 64")
    func missing() async throws {
        try await withDirectory { directory in
            let result = try await Self.check("claude", in: directory)
            #expect(result.code == 69 && result.errors.contains("agents.tools"), "\(result)")
            #expect(try await Self.check("nobody", in: directory).code == 64)
        }
    }
}
