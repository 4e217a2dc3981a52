import NIOPosix
import Domain
import Foundation
import Jobs
import Sandboxing
import ShimProtocol
import TestSupport
import Testing

@testable import Agents

/// What people do to living agents, on real nodes and terminals.
@Suite("Talking to agents", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct AgentTalkTests {
    /// A node whose policies know a shell that stays, and one such agent.
    private static func withAgent(
        screen: String = "",
        _ body: @escaping @Sendable (Installation, ManagedProcess, String) async throws -> Void
    ) async throws {
        try await Installation.with { installation in
            let policies = installation.directory + "/p"
            try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: policies)
            let definition = """
                {"name": "session", "summary": "a shell that stays", "argv": ["/bin/bash", "--noprofile", "--norc", "-i"],
                "environment": {"HISTFILE": ""}, "closing": []\(screen)}
                """
            try Data(definition.utf8).write(to: URL(fileURLWithPath: policies + "/agents/session.json"))
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"],
                environment: installation.environment(node: "n1").merging(Self.change(installation)) { $1 },
                log: installation.directory + "/n1.log")
            try await installation.start(node)
            let started = try await Self.command(
                installation, ["agents", "start", "session", "--prompt", "echo begun", "--json"])
            let id = try #require(try JSONParser.parse(Array(started.output.utf8))["agent_id"]?.string)
            try await eventually("the agent has read its prompt") {
                try await Self.command(installation, ["agents", "logs", id]).output.contains("\nbegun")
            }
            try await body(installation, node, id)
        }
    }

    private static func change(_ installation: Installation) -> [String: String] {
        ["ORCHESTRA_WORKSPACE": "acme", "ORCHESTRA_POLICIES_DIRECTORY": installation.directory + "/p"]
    }

    private static func command(
        _ installation: Installation, _ arguments: [String], change: [String: String] = [:]
    ) async throws -> (code: Int32, output: String, errors: String) {
        try await installation.command(arguments, change: Self.change(installation).merging(change) { $1 })
    }

    private static func stages(_ output: String) throws -> [String] {
        try output.split(separator: "\n").compactMap { try JSONParser.parse(Array($0.utf8))["stage"]?.string }
    }

    @Test("a message is typed once, with a receipt for each step, whatever becomes of the node")
    func receipts() async throws {
        try await Self.withAgent { installation, node, id in
            func send(_ text: String, _ key: String) async throws -> (code: Int32, output: String, errors: String) {
                try await Self.command(
                    installation, ["agents", "send", id, text, "--message-id", key, "--until", "answered", "--json"])
            }
            let (first, second) = (UUID().uuidString, UUID().uuidString)
            let answer = try await send("echo one-$((1+1)) >> typed", first)
            #expect(answer.code == 0, "\(answer.errors)")
            #expect(try Self.stages(answer.output) == ["queued", "written", "consumed", "answered"])
            // Again, as a caller does that has not received the answer; also while the node is dead.
            #expect(try Self.stages(try await send("echo one-$((1+1)) >> typed", first).output) == ["answered"])
            await node.kill9()
            #expect(try Self.stages(try await send("echo one-$((1+1)) >> typed", first).output) == ["answered"])
            #expect(try await send("echo two-$((1+1)) >> typed", second).code == 0)
            try await installation.start(node)
            #expect(try Self.stages(try await send("echo two-$((1+1)) >> typed", second).output) == ["answered"])
            let read = try await Self.command(
                installation, ["agents", "send", id, "cat typed; echo end-$((1+1))", "--until", "answered"])
            #expect(read.code == 0)
            try await eventually("it has read the file") {
                let log = try await Self.command(installation, ["agents", "logs", id]).output
                return log.contains("end-2") && log.ranges(of: "\none-2").count == 1
                    && log.ranges(of: "\ntwo-2").count == 1
            }
            // One launch still: the new node took the agent back.
            #expect(try await Self.command(installation, ["agents", "list"]).output.contains("launch 1"))
            #expect(try await installation.auditCounts("agent.input")[id] == 6)
        }
    }

    @Test("what cannot be typed whole is refused with its reason, and another workspace's agent is out of reach")
    func refused() async throws {
        try await Self.withAgent { installation, _, id in
            // In line mode a terminal would cut it without a word; bash itself reads every byte.
            #expect(try await Self.command(installation, ["agents", "send", id, "cat"]).code == 0)
            try await eventually("cat reads lines") {
                let answer = try await Self.command(
                    installation, ["agents", "send", id, String(repeating: "a", count: 5000), "--timeout", "5"])
                return answer.code == 65 && answer.errors.contains("line of 5000 bytes")
            }
            let log = try await Self.command(installation, ["agents", "logs", id]).output
            let foreign = try await Self.command(
                installation, ["agents", "send", id, "echo foreign"], change: ["ORCHESTRA_WORKSPACE": "other"])
            #expect(foreign.code == 65 && foreign.errors.contains("no job"))
            #expect(try await Self.command(installation, ["agents", "logs", id]).output == log)
        }
    }

    @Test(
        "keys have a command of their own with receipts; text with control characters is refused with 65; sizes are set"
    )
    func keysAndSize() async throws {
        try await Self.withAgent { installation, _, id in
            func agents(_ arguments: String...) async throws -> (code: Int32, output: String, errors: String) {
                try await Self.command(installation, ["agents"] + arguments)
            }
            let refused = try await agents("send", id, "\u{1b}")
            #expect(refused.code == 65 && refused.errors.contains("ESC (U+001B)"), "\(refused)")
            #expect(try await agents("send", id, "").code == 65)
            #expect(try await agents("keys", id, "Nope").code == 64)
            let marker = "sleep 7\(Int.random(in: 1000...9999))"
            #expect(try await agents("send", id, marker).code == 0)
            try await eventually("it sleeps") { !ProcessTable().matching(marker).isEmpty }
            let pressed = try await agents("keys", id, "C-c", "--until", "answered", "--json")
            #expect(try Self.stages(pressed.output) == ["queued", "written", "consumed", "answered"], "\(pressed)")
            try await eventually("it is interrupted") { ProcessTable().matching(marker).isEmpty }
            // A menu of the shell: the line before the last one, entered again.
            #expect(try await agents("send", id, "echo first-$((1+1))", "--until", "answered").code == 0)
            #expect(try await agents("keys", id, "Up", "Enter", "--until", "answered").code == 0)
            try await eventually("it ran twice") {
                try await agents("logs", id).output.components(separatedBy: "\nfirst-2").count == 3
            }
            #expect(try await agents("resize", id, "9x9").code == 64)
            #expect(try await agents("resize", id, "100x30").code == 0)
            #expect(try await agents("send", id, "stty size", "--until", "answered").code == 0)
            try await eventually("it has the size") { try await agents("screen", id).output.contains("30 100") }
            let view = "\(installation.directory)/n1/agents/\(id)/1/t1"
            try await eventually("its pane has the size") {
                try await runProgram(
                    "/usr/bin/tmux", ["-S", view, "display-message", "-p", "#{pane_width}x#{pane_height}"]
                ).output.contains("100x30")
            }
            #expect(try await installation.auditCounts("agent.resized") == [id: 1])
            let foreign = try await Self.command(
                installation, ["agents", "keys", id, "Enter"], change: ["ORCHESTRA_WORKSPACE": "other"])
            #expect(foreign.code == 65)
        }
    }

    @Test("a frozen agent stands still and goes on as if nothing had been; its state is reported with its evidence")
    func frozen() async throws {
        try await Self.withAgent { installation, _, id in
            func send(_ text: String, until: String = "answered", timeout: String = "10") async throws -> Int32 {
                try await Self.command(
                    installation, ["agents", "send", id, text, "--until", until, "--timeout", timeout]
                ).code
            }
            let marker = "sleep 7\(Int.random(in: 1000...9999))"
            #expect(try await send(marker, until: "consumed") == 0)
            try await eventually("it sleeps") { !ProcessTable().matching(marker).isEmpty }
            let frozen = try await Self.command(installation, ["agents", "freeze", id])
            #expect(frozen.code == 0 && frozen.output.contains("stand still"), "\(frozen)")
            #expect(try await send("echo later", until: "consumed", timeout: "1") == 1)
            #expect(try await Self.command(installation, ["agents", "thaw", id]).code == 0)
            let log = try await Self.command(installation, ["agents", "logs", id]).output
            #expect(!log.contains("Stopped"))
            #expect(try await Self.command(installation, ["agents", "stop", id]).code == 0)
            #expect(ProcessTable().matching(marker).isEmpty)
            let shown = try await Self.command(installation, ["agents", "show", id, "--json"])
            let value = try JSONParser.parse(Array(shown.output.utf8))
            #expect(value["state"]?.string == "exited" && value["evidence"]?.string?.contains("stopped") == true)
            #expect(try await installation.auditCounts("agent.frozen") == [id: 1])
            #expect(try await installation.auditCounts("agent.thawed") == [id: 1])
        }
    }

    @Test("a hostile terminal: a flood of forged replies and broken text is kept byte for byte and acted on by no part")
    func hostileTerminal() async throws {
        try await Self.withAgent { installation, node, id in
            // What drives terminals, clipboards and tmux' own protocol, and what is no text at all.
            let line = [
                "\\377\\376\\300\\200", "\\033]52;c;c3RvbGVu\\007", "\\033]0;#(touch out)\\007", "\\033[201~",
                "\\033P+q544e\\033",
                "\\033[?1049h", "%%end 1 2 1", "%%exit", "%%output %%0 x", "\\302\\233", "\\033[21t", "\\000",
            ].joined()
            let unit: [UInt8] =
                [0xFF, 0xFE, 0xC0, 0x80]
                + Array("\u{1b}]52;c;c3RvbGVu\u{07}\u{1b}]0;#(touch out)\u{07}\u{1b}[201~".utf8)
                + Array("\u{1b}P+q544e\u{1b}\u{1b}[?1049h%end 1 2 1%exit%output %0 x".utf8) + [0xC2, 0x9B]
                + Array("\u{1b}[21t".utf8) + [0]
            // 12 MB, or by ops/faults 100 MB and more.
            let count =
                ProcessInfo.processInfo.environment["ORCHESTRA_FLOOD_UNITS"].flatMap { Int($0) } ?? 200_000
            let script =
                "stty raw -echo; printf 'be''gin'; printf '\(line)' > u; for i in 1 2 3 4 5 6 7 8 9 10; do cat u; done > v; "
                + "for i in $(seq \(count / 100)); do cat v v v v v v v v v v; done; printf 'e''nd'; stty sane"
            let answer = try await Self.command(
                installation, ["agents", "send", id, script, "--until", "written"])
            #expect(answer.code == 0, "\(answer.errors)")
            let path = "\(installation.directory)/n1/agents/\(id)/1/output.log"
            var log = Data()
            try await eventually(within: .seconds(300), "all of it was written") {
                log = FileManager.default.contents(atPath: path) ?? Data()
                return log.suffix(4096).range(of: Data("end".utf8)) != nil && log.count > unit.count * count
            }
            let start = try #require(log.range(of: Data("begin".utf8), in: log.startIndex..<log.count)?.upperBound)
            let block = Data([[UInt8]](repeating: unit, count: 1000).flatMap { $0 })
            var expected = Data()
            for _ in 0..<count / 1000 { expected.append(block) }
            #expect(log[start..<start + expected.count] == expected)
            // Its view and its node live on, and it still reads.
            let view = "\(installation.directory)/n1/agents/\(id)/1/t1"
            #expect(try await runProgram("/usr/bin/tmux", ["-S", view, "list-buffers"]).output.isEmpty)
            #expect(
                try await Self.command(installation, ["agents", "send", id, "echo alive", "--until", "answered"]).code
                    == 0)
            // As text it is harmless; of a larger flood it would be more than a command's output may be here.
            if count <= 200_000 {
                let shown = try await Self.command(installation, ["agents", "logs", id])
                #expect(!shown.output.unicodeScalars.contains { $0.value == 0x1B || (0x80...0x9F).contains($0.value) })
            }
            #expect(!FileManager.default.fileExists(atPath: installation.directory + "/n1/workspaces/acme/out"))
        }
    }

    @Test("an agent is asked to end before it is ended: it may clean up, unless it stands still or takes too long")
    func politeStop() async throws {
        try await Self.withAgent { installation, _, id in
            let script =
                "trap 'echo cleaned >/workspace/cleaned; exit 0' TERM; echo is-trapped; while :; do sleep 0.1; done"
            #expect(try await Self.command(installation, ["agents", "send", id, script]).code == 0)
            try await eventually("it waits") {
                try await Self.command(installation, ["agents", "logs", id]).output.contains("\nis-trapped")
            }
            #expect(try await Self.command(installation, ["agents", "stop", id]).code == 0)
            let path = "\(installation.directory)/n1/workspaces/acme/cleaned"
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "cleaned\n")
        }
        for isFrozen in [false, true] {
            try await Self.withAgent { installation, _, id in
                let marker = "599.7\(Int.random(in: 1000...9999))"
                let script =
                    "trap 'echo >/workspace/asked' TERM HUP; sleep \(marker) & while :; do sleep 0.1; done"
                #expect(try await Self.command(installation, ["agents", "send", id, script]).code == 0)
                try await eventually("it waits") { !ProcessTable().matching(marker).isEmpty }
                if isFrozen {
                    #expect(try await Self.command(installation, ["agents", "freeze", id]).code == 0)
                }
                #expect(try await Self.command(installation, ["agents", "stop", id]).code == 0)
                #expect(ProcessTable().matching(marker).isEmpty)
                let path = "\(installation.directory)/n1/workspaces/acme/asked"
                #expect(FileManager.default.fileExists(atPath: path) == !isFrozen)
            }
        }
    }

    @Test("what its screen shows is its state, with the rule as evidence, until it says something itself")
    func screenStates() async throws {
        try await Self.withAgent(
            screen:
                #", "screen": [{"state": "waiting", "cursor_line_ends": "[y/n]"}, {"state": "ready", "cursor_line_ends": "$"}]"#
        ) { installation, _, id in
            func isShown(_ state: String, _ evidence: String) async throws {
                try await eventually("it is \(state)") {
                    let shown = try await Self.command(installation, ["agents", "show", id])
                    return shown.output.contains("state: \(state)") && shown.output.contains(evidence)
                }
            }
            func send(_ text: String) async throws {
                let answer = try await Self.command(installation, ["agents", "send", id, text, "--until", "consumed"])
                #expect(answer.code == 0, "\(answer)")
            }
            try await isShown("ready", "its screen, by rule 2")
            try await send("read -p 'Go on? [y/n] ' answer")
            try await isShown("waiting", "its screen, by rule 1")
            let screen = try await Self.command(installation, ["agents", "screen", id])
            #expect(screen.code == 0 && screen.output.hasSuffix("Go on? [y/n]\n"), "\(screen)")
            try await send("y")
            try await isShown("ready", "its screen, by rule 2")
            try await send(#"echo '{"type":"state","state":"busy","detail":"so I say"}' >&3"#)
            try await isShown("busy", "it said so: so I say")
            try await send("echo the prompt comes back")
            try await ContinuousClock().sleep(for: .seconds(1))
            try await isShown("busy", "it said so: so I say")
        }
    }

    @Test(
        "a log that keeps its newest output is a ring of segments: the end is there, byte for byte, and the program goes on"
    )
    func ringLog() async throws {
        try await Self.withAgent(screen: #", "log_quota_mib": 1, "log_overflow": "oldest""#) { installation, _, id in
            let script = "for i in $(seq 400000); do echo line-$i; done; echo o''ver"
            #expect(try await Self.command(installation, ["agents", "send", id, script]).code == 0)
            let directory = "\(installation.directory)/n1/agents/\(id)/1"
            var tail = ""
            try await eventually(within: .seconds(90), "it has written all") {
                let logs = try await Self.command(installation, ["agents", "logs", id, "--raw"])
                tail = logs.output
                return tail.contains("line-400000\r\nover") && logs.errors.contains("bytes are not kept any more")
            }
            let files = try FileManager.default.contentsOfDirectory(atPath: directory)
                .filter { $0.hasPrefix("output.log") }
            let kept = try files.reduce(0) { sum, name in
                sum + (try FileManager.default.attributesOfItem(atPath: directory + "/" + name)[.size] as? Int ?? 0)
            }
            #expect((4...9).contains(files.count) && kept <= 1_200_000 && kept >= 700_000, "\(files) \(kept)")
            // Every line that is kept follows the one before.
            let numbers = tail.split(separator: "\r\n").filter { $0.hasPrefix("line-") }.dropFirst()
                .compactMap { Int($0.dropFirst(5)) }
            #expect(numbers.count > 50_000 && numbers.last == 400_000)
            #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $1 == $0 + 1 })
            // A reader that begins with what is gone receives the offset of what is left.
            let answer = try await Self.command(installation, ["agents", "replay", id, "--cast"])
            #expect(answer.output.contains("line-400000"))
            #expect(
                try await Self.command(installation, ["agents", "send", id, "echo alive", "--until", "answered"]).code
                    == 0)
        }
    }

    @Test("a prompt is typed as its program reads: marked as a paste only where that was asked for")
    func promptMarks() async throws {
        try await withDirectory { directory in
            for (setting, expected) in [
                ("", "one\ntwo\n"), ("printf '\\033[?2004h'; ", "\u{1b}[200~one\ntwo\u{1b}[201~\n"),
            ] {
                let (home, work) = (directory + "/a\(expected.count)", directory + "/w\(expected.count)")
                for path in [home, work] {
                    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                }
                let spec = try TestSandbox.plan(.namespaces, directory: directory).launch(
                    [
                        "/bin/bash", "-c",
                        "stty -echo; \(setting)echo ready; head -c \(expected.utf8.count) >got; sleep 60",
                    ],
                    profile: .measured, workspace: work, connection: .terminal(token: [1], orphanGrace: .seconds(5)))
                try Data(spec.encoded).write(to: URL(fileURLWithPath: home + "/" + ShimFiles.launch))
                let shim = ManagedProcess(
                    buildDirectory + "/orchestra-shim", ["agent", home], log: directory + "/shim.log")
                try await shim.start()
                try await eventually("it is ready") {
                    let log = FileManager.default.contents(atPath: home + "/output.log") ?? Data()
                    return String(decoding: log, as: UTF8.self).contains("ready")
                }
                _ = try await ShimConnection.with(path: home + "/" + ShimFiles.socket, group: .singleton) {
                    try await $0.send(.hello(token: [1], epoch: 1))
                    try await $0.send(.prompt(id: 1, text: Array("one\ntwo".utf8)))
                } receive: { frame, _ in
                    if case .written = frame { true } else { nil }
                }
                try await eventually("it was read as \(expected)") {
                    (try? String(contentsOfFile: work + "/got", encoding: .utf8)) == expected
                }
                await shim.signal(SIGTERM)
                _ = try await shim.wait()
            }
        }
    }

    @Test("an agent that defends itself against standing still, and floods its events, is stopped all the same")
    func hostile() async throws {
        try await Self.withAgent { installation, _, id in
            func send(_ text: String) async throws -> Int32 {
                try await Self.command(installation, ["agents", "send", id, text, "--until", "answered"]).code
            }
            // A line of two bytes each, as many as go through; the owner must not be thrown out for it.
            #expect(try await send("head -c 2000000 <(yes '{}') >&3; echo flooded-$((1+1))") == 0)
            try await eventually("the flood is over") {
                try await Self.command(installation, ["agents", "logs", id]).output.contains("flooded-2")
            }
            #expect(try await send("echo still-here") == 0)
            #expect(try await Self.command(installation, ["agents", "list"]).output.contains("launch 1"))
            let marker = "sleep 7\(Int.random(in: 1000...9999))"
            let defence = "for i in 1 2 3; do while :; do kill -CONT 0 -1; (:); done & done 2>/dev/null; \(marker) &"
            #expect(try await send(defence) == 0)
            // It stands still or it does not; in either case there is an answer, and the stop works.
            let frozen = try await Self.command(installation, ["agents", "freeze", id])
            #expect(frozen.code == 0 || frozen.errors.contains("would not stand still"), "\(frozen)")
            #expect(try await Self.command(installation, ["agents", "stop", id]).code == 0)
            #expect(ProcessTable().matching(marker).isEmpty)
        }
    }

    @Test("what an agent reports by itself is numbered, waited for, and gives its state; its record plays back")
    func saying() async throws {
        try await Self.withAgent { installation, _, id in
            func events(_ arguments: String...) async throws -> [JSONValue] {
                try await Self.command(installation, ["agents", "events", id] + arguments).output
                    .split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
            }
            #expect(try await events("--wait", "1").isEmpty)
            async let next = events("--wait", "30")
            let words = #"echo '{"type":"state","state":"waiting","detail":"for you"}' >&$ORCHESTRA_EVENTS_FD"#
            #expect(try await Self.command(installation, ["agents", "send", id, words]).code == 0)
            let event = try #require(try await next.first)
            #expect(event["n"]?.integer == 1 && event["event"]?["state"]?.string == "waiting")
            #expect(try await events("--after", "1").isEmpty)
            try await eventually("its state is known") {
                let shown = try await Self.command(installation, ["agents", "show", id])
                return shown.output.contains("state: waiting") && shown.output.contains("it said so: for you")
            }
            #expect(
                try await Self.command(
                    installation, ["agents", "send", id, "printf 'caf\\303\\251\\n'", "--until", "answered"]
                )
                .code == 0)
            #expect(try await Self.command(installation, ["agents", "stop", id]).code == 0)
            let cast = try await Self.command(installation, ["agents", "replay", id, "--cast"]).output
            let lines = try cast.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
            #expect(lines.first?["version"]?.integer == 2)
            #expect(cast.contains("café") && lines.count > 3)
        }
    }
}
