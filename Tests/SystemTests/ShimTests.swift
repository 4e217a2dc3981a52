import Domain
import Foundation
import NIOPosix
import Sandboxing
import ShimProtocol
import TestSupport
import Testing

@testable import Agents

@Suite("The shim", .serialized, .enabled(if: !isRoot, "bubblewrap is tried as an ordinary user"))
struct ShimTests {
    @Test(
        "a shim that is stopped at any moment of its launch leaves no process of the sandbox behind",
        arguments: ["agent", "command"])
    func stoppedWhileLaunching(verb: String) async throws {
        try await withDirectory { directory in
            let plan = TestSandbox.plan(.namespaces, directory: directory)
            let marker = directory.split(separator: "/").last.map(String.init) ?? ""
            try FileManager.default.createDirectory(atPath: directory + "/w", withIntermediateDirectories: false)
            var shims: [ManagedProcess] = []
            for round in 0..<60 {
                let path = "\(directory)/\(round)"
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                let argv = ["/bin/sleep", "600", marker]
                let spec = try plan.launch(
                    argv, profile: .measured, workspace: directory + "/w",
                    connection: verb == "agent"
                        ? .terminal(token: [1], orphanGrace: .seconds(1))
                        : .command(input: [], outputLimit: 1024, ownerPID: getpid()))
                let file = path + "/" + ShimFiles.launch
                try Data(spec.encoded).write(to: URL(fileURLWithPath: file))
                let shim = ManagedProcess(
                    "/bin/sh",
                    [
                        "-c",
                        "exec \(buildDirectory)/orchestra-shim \(verb == "agent" ? "agent \(path)" : "command < \(file)")",
                    ],
                    log: "\(directory)/\(round).log")
                try await shim.start()
                // Busy for a different while each round, so that the stop falls into every part of the launch.
                let end = ContinuousClock.now + .microseconds(400 * round)
                while ContinuousClock.now < end {}
                await shim.signal(SIGTERM)
                shims.append(shim)
            }
            for shim in shims { _ = try await shim.wait() }
            #expect(ProcessTable().matching(marker).isEmpty)
        }
    }

    @Test("an input that is sent again is answered as written, though the terminal would refuse it by now")
    func repeatedInput() async throws {
        try await withDirectory { directory in
            let plan = TestSandbox.plan(.namespaces, directory: directory)
            let (home, work) = (directory + "/a", directory + "/w")
            for path in [home, work] {
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            }
            let line = [UInt8](repeating: 0x61, count: 5000) + [0x0A]
            // Raw first, so that the long line is taken; then in line mode, which would cut it.
            let program =
                "stty raw -echo; echo is raw; head -c \(line.count) >/dev/null; stty sane; echo is sane; sleep 60"
            let spec = try plan.launch(
                ["/bin/bash", "-c", program], profile: .measured, workspace: work,
                connection: .terminal(token: [1], orphanGrace: .seconds(20)))
            try Data(spec.encoded).write(to: URL(fileURLWithPath: home + "/" + ShimFiles.launch))
            let shim = ManagedProcess(
                buildDirectory + "/orchestra-shim", ["agent", home], log: directory + "/shim.log")
            try await shim.start()
            let log = home + "/output.log"
            func shown(_ words: String) async throws {
                try await eventually("the program says '\(words)'") {
                    let bytes = FileManager.default.contents(atPath: log) ?? Data()
                    return String(decoding: bytes, as: UTF8.self).contains(words)
                }
            }
            try await shown("is raw")
            for round in 0..<2 {
                let answer = try await ShimConnection.with(
                    path: home + "/" + ShimFiles.socket, group: .singleton
                ) { connection in
                    try await connection.send(.hello(token: [1], epoch: 1))
                    try await connection.send(.input(id: 7, bytes: line))
                } receive: { frame, _ in
                    switch frame {
                    case .written, .inputRefused, .refused: frame
                    default: nil as ShimFrame?
                    }
                }
                #expect(answer == .written(id: 7), "round \(round)")
                try await shown("is sane")
            }
            await shim.signal(SIGTERM)
            _ = try await shim.wait()
        }
    }

    @Test(
        "its terminal is a whole one: ^C, ^Z and fg, the size and its changes, every byte of a colour",
        arguments: SandboxTests.tiers)
    func jobControl(tier: SandboxTier) async throws {
        try await withDirectory { directory in
            let (home, work) = (directory + "/a", directory + "/w")
            for path in [home, work] {
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            }
            let profile = SandboxProfile(
                name: .measured, summary: "x", lowestTier: .landlock, processLimit: 8192, openFileLimit: 256,
                fileSizeLimit: 1 << 30, memoryLimit: 1 << 30, treeMemoryLimit: 1 << 30, temporarySize: 1 << 20,
                homeSize: 1 << 20, environment: [:], readOnlyPaths: [])
            let spec = try TestSandbox.plan(tier, directory: directory).launch(
                ["/bin/bash", "--noprofile", "--norc", "-i"], environment: ["PS1": "ps> ", "HISTFILE": ""],
                profile: profile, workspace: work, connection: .terminal(token: [1], orphanGrace: .seconds(20)))
            try Data(spec.encoded).write(to: URL(fileURLWithPath: home + "/" + ShimFiles.launch))
            let shim = ManagedProcess(
                buildDirectory + "/orchestra-shim", ["agent", home], log: directory + "/shim.log")
            try await shim.start()
            let marker = "59\(Int.random(in: 1000...9999))"
            var number: UInt64 = 0
            var place = 0
            /// Types, and waits until the terminal has shown the words behind all that was shown before.
            func type(_ text: String, until words: String) async throws {
                number += 1
                let (id, bytes) = (number, Array(text.utf8))
                _ = try await ShimConnection.with(path: home + "/" + ShimFiles.socket, group: .singleton) {
                    try await $0.send(.hello(token: [1], epoch: 1))
                    try await $0.send(.input(id: id, bytes: bytes))
                } receive: { frame, _ in
                    if case .written(id) = frame { true } else { nil }
                }
                try await shown(words)
            }
            func shown(_ words: String) async throws {
                try await eventually("the terminal shows '\(words)'") {
                    let log = FileManager.default.contents(atPath: home + "/output.log") ?? Data()
                    guard let found = log.range(of: Data(words.utf8), in: min(place, log.count)..<log.count) else {
                        return false
                    }
                    place = found.upperBound
                    return true
                }
            }
            try await eventually("it is there") {
                FileManager.default.fileExists(atPath: home + "/" + ShimFiles.socket)
            }
            try await shown("ps> ")
            try await type("sleep \(marker)\r", until: "sleep \(marker)\r\n")
            try await eventually("it sleeps") { !ProcessTable().matching("sleep \(marker)").isEmpty }
            try await type("\u{3}", until: "ps> ")
            #expect(ProcessTable().matching("sleep \(marker)").isEmpty)
            try await type("sleep \(marker)\r", until: "sleep \(marker)\r\n")
            try await eventually("it sleeps") { !ProcessTable().matching("sleep \(marker)").isEmpty }
            try await type("\u{1a}", until: "Stopped")
            try await shown("ps> ")
            try await type("fg\r", until: "fg\r\n")
            try await shown("sleep \(marker)\r\n")
            // A shell says what it brings to the front before it does.
            try await eventually("it is ended from the front") {
                try await type("\u{3}", until: "^C")
                return ProcessTable().matching("sleep \(marker)").isEmpty
            }
            try await type("trap 'stty size' WINCH; stty size\r", until: "50 220\r\n")
            // Before its prompt the shell is not in the front, where the signal of a new size goes.
            try await shown("ps> ")
            _ = try await ShimConnection.with(path: home + "/" + ShimFiles.socket, group: .singleton) {
                try await $0.send(.hello(token: [1], epoch: 1))
                try await $0.send(.resize(columns: 132, rows: 43))
                try await $0.send(.input(id: 1000, bytes: [0x0D]))
            } receive: { frame, _ in
                if case .written(1000) = frame { true } else { nil }
            }
            try await shown("43 132\r\n")
            number = 1000
            try await type(
                "printf '\\033[38;2;1;2;3mx\\033[0m\\n'; tput colors\r", until: "\u{1b}[38;2;1;2;3mx\u{1b}[0m\r\n")
            try await shown("256\r\n")
            let record = try await ShimConnection.with(path: home + "/" + ShimFiles.socket, group: .singleton) {
                try await $0.send(.hello(token: [1], epoch: 1))
                try await $0.send(.stop)
            } receive: { frame, connection in
                guard case .exited(let record) = frame else { return nil as ExitRecord? }
                try await connection.send(.reap)
                return record
            }
            #expect(record?.endedBy == .stop)
            _ = try await shim.wait()
        }
    }

    @Test("a shim that ends before it has read what to launch is an error of that launch, and ends nothing else")
    func deafShim() async throws {
        try await withDirectory { directory in
            let plan = TestSandbox.plan(.namespaces, directory: directory)
            try FileManager.default.createDirectory(atPath: directory + "/w", withIntermediateDirectories: false)
            let spec = try plan.launch(
                ["/bin/true"], profile: .measured, workspace: directory + "/w",
                connection: .command(
                    input: [UInt8](repeating: 1, count: 500_000), outputLimit: 1024, ownerPID: getpid()))
            // It reads nothing; a pipe of that size could not be written.
            let runner = CommandRunner(
                configuration: AgentConfiguration(
                    root: directory + "/a", workspaces: directory, shim: "/bin/true", tmux: "/usr/bin/tmux",
                    plan: plan, orphanGrace: .seconds(5), secrets: SecretStore(root: directory + "/s")),
                processID: getpid())
            for _ in 0..<20 { await #expect(throws: (any Error).self) { try await runner.run(spec) } }
        }
    }
}
