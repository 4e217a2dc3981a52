import Domain
import Foundation
import NIOPosix
import Sandboxing
import ShimProtocol
import TestSupport
import Testing

@testable import Agents

/// Programs at the shim's own terminal, without a node, tmux or a viewer.
@Suite("A program's terminal", .serialized, .enabled(if: !isRoot, "bubblewrap is tried as an ordinary user"))
struct TerminalTests {
    /// Runs the program under a shim; `body` gets the shim's directory.
    private static func withShim(_ argv: [String], _ body: (String) async throws -> Void) async throws {
        try await withDirectory { directory in
            let (home, work) = (directory + "/a", directory + "/w")
            for path in [home, work] {
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            }
            let spec = try TestSandbox.plan(.namespaces, directory: directory).launch(
                argv, profile: .measured, workspace: work,
                connection: .terminal(token: [1], orphanGrace: .seconds(30)))
            try Data(spec.encoded).write(to: URL(fileURLWithPath: home + "/" + ShimFiles.launch))
            let shim = ManagedProcess(
                buildDirectory + "/orchestra-shim", ["agent", home], log: directory + "/shim.log")
            try await shim.start()
            do {
                try await body(home)
            } catch {
                await shim.signal(SIGTERM)
                _ = try await shim.wait()
                throw error
            }
            await shim.signal(SIGTERM)
            _ = try await shim.wait()
        }
    }

    private static func log(_ home: String) -> String {
        String(decoding: FileManager.default.contents(atPath: home + "/output.log") ?? Data(), as: UTF8.self)
    }

    private static func shows(_ text: String, _ home: String) async throws {
        try await eventually("the terminal shows \(text)") { Self.log(home).contains(text) }
    }

    /// Sends a message as a viewer; the last receipt.
    private static func send(
        _ input: TerminalInput, until stage: MessageLedger.Stage, _ home: String
    ) async throws -> MessageLedger.Receipt? {
        let key = Array(UUID().uuidString.utf8)
        return try await ShimConnection.with(path: home + "/" + ShimFiles.socket, group: .singleton) {
            try await $0.send(.hello(token: [1], epoch: 0))
            try await $0.send(input.frame(key: key))
        } receive: { frame, _ in
            guard case .receipt(let receipt) = frame, receipt.key == key else { return nil }
            return receipt.stage == .refused || receipt.stage.rawValue >= stage.rawValue ? receipt : nil
        }
    }

    @Test("bash gets the position of the cursor that it asks for, and the log does not have the answer")
    func cursorPosition() async throws {
        let script = #"IFS= read -rs -t 20 -d R -p $'\e[6n' x; echo "rc=$? got=${x@Q}"; sleep 60"#
        try await Self.withShim(["/bin/bash", "-c", script]) { home in
            try await Self.shows(#"rc=0 got=$'\E[1;1'"#, home)
            #expect(!Self.log(home).contains("\u{1b}[1;1R"))
        }
    }

    @Test("a program with a raw terminal gets one answer to each query, also one that comes in pieces")
    func queries() async throws {
        let script = """
            import os, select, time, tty
            tty.setraw(0)
            for query in [[b"\\x1b[5n"], [b"\\x1b[", b"6n"], [b"\\x1b[?6n"], [b"\\x1b[c"], [b"\\x1b[>c"], [b"\\x1b[?7$", b"p"], [b"\\x1b[18t"]]:
                for part in query:
                    os.write(1, part)
                    time.sleep(0.05)
                answer = b""
                while select.select([0], [], [], 20 if not answer else 0.2)[0]: answer += os.read(0, 100)
                os.write(1, repr(answer).encode() + b"\\r\\n")
            os.write(1, b"done")
            time.sleep(60)
            """
        try await Self.withShim(["/usr/bin/python3", "-c", script]) { home in
            try await Self.shows("done", home)
            let answers = Self.log(home).split(separator: "\r\n").compactMap { line in
                line.range(of: "b'").map { String(line[$0.lowerBound...]) }
            }
            #expect(
                answers == [
                    #"b'\x1b[0n'"#, #"b'\x1b[2;1R'"#, #"b'\x1b[?3;1R'"#, #"b'\x1b[?62;22c'"#, #"b'\x1b[>1;0;0c'"#,
                    #"b'\x1b[?7;1$y'"#, #"b'\x1b[8;50;220t'"#,
                ])
        }
    }

    @Test(
        "a program that takes one read for one key gets text and Enter apart, and keys one by one",
        arguments: [("", ["b'hello there'"]), (#"\x1b[?1004;2004h"#, [#"b'\x1b[200~hello there\x1b[201~'"#])])
    func chunks(setting: String, text: [String]) async throws {
        let script = """
            import os, tty
            tty.setraw(0)
            os.write(1, b"\(setting)\\x1b[?1hready\\r\\n")
            while True: os.write(1, repr(os.read(0, 65536)).encode() + b"\\r\\n")
            """
        try await Self.withShim(["/usr/bin/python3", "-c", script]) { home in
            try await Self.shows("ready", home)
            #expect(try await Self.send(.text("hello there"), until: .answered, home)?.stage == .answered)
            let keys = try TerminalInput(keys: ["Escape", "Up", "C-c"])
            #expect(try await Self.send(keys, until: .answered, home)?.stage == .answered)
            try await Self.shows(#"b'\x03'"#, home)
            let reads = Self.log(home).split(separator: "\r\n").filter { $0.hasPrefix("b'") }.map(String.init)
            #expect(reads == text + [#"b'\r'"#, #"b'\x1b'"#, #"b'\x1bOA'"#, #"b'\x03'"#])
        }
    }

    @Test("text with a control character is refused by the shim, and nothing of it is typed")
    func refused() async throws {
        try await Self.withShim(["/bin/bash", "-c", "echo ready; read -r x; echo got=$x; sleep 60"]) { home in
            try await Self.shows("ready", home)
            let receipt = try await Self.send(.text("yes\u{1b}"), until: .written, home)
            #expect(receipt?.stage == .refused && receipt?.reason.contains("ESC (U+001B)") == true)
            #expect(try await Self.send(.text("no"), until: .answered, home)?.stage == .answered)
            try await Self.shows("got=no", home)
        }
    }
}
