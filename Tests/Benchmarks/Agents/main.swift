import Agents
import CLinux
import Domain
import Foundation
import Logging
import NIOPosix
import Sandboxing
import ShimProtocol
import Subprocess
import Synchronization
import SystemPackage

// orchestra-bench-agents [--agents N] [--rounds N] [--tier N]
//
// Real agents, each with a tmux server, a shim and a sandbox of its own: how long a launch, a message and a crash take,
// what they cost while they stand and while they draw, how fast a new owner has them, and that no byte of what they
// print and nothing of them after their end is lost or left. Times are medians and 99th percentiles of this machine, now;
// the launch is also given as a ratio to plain spawns of the same run.

func option(_ name: String, _ fallback: Int) -> Int {
    guard let index = CommandLine.arguments.firstIndex(of: name), index + 1 < CommandLine.arguments.count else {
        return fallback
    }
    return Int(CommandLine.arguments[index + 1]) ?? fallback
}

/// A line at once, also into a file.
func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

func milliseconds(_ duration: Duration) -> Double { duration / .milliseconds(1) }

struct Percentiles: CustomStringConvertible {
    let sorted: [Double]

    init(_ values: [Double]) { self.sorted = values.sorted() }

    var median: Double { self.sorted[self.sorted.count / 2] }

    var description: String {
        String(
            format: "median %.2f ms, p99 %.2f ms", self.median,
            self.sorted[min(self.sorted.count - 1, self.sorted.count * 99 / 100)])
    }
}

/// A value that another task waits for.
final class Signal: Sendable {
    private let stream: AsyncStream<ContinuousClock.Instant>
    private let continuation: AsyncStream<ContinuousClock.Instant>.Continuation

    init() { (self.stream, self.continuation) = AsyncStream.makeStream() }

    func fire() { self.continuation.yield(.now) }

    func wait() async -> ContinuousClock.Instant {
        for await instant in self.stream { return instant }
        return .now
    }
}

struct BenchFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Looks again and again until the condition holds. Throws when it does not within a minute.
func wait(for what: String, until condition: () throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while try !condition() {
        guard ContinuousClock.now < deadline else { throw BenchFailure("waited a minute in vain for \(what)") }
        try await Task.sleep(for: .milliseconds(50))
    }
}

/// One agent and its owner.
final class Runner: Sendable {
    let directory: AgentDirectory
    let ready = Signal()
    let agent: Agent
    let task: Mutex<Task<ExitRecord, any Error>?> = Mutex(nil)

    init(_ bench: Bench, _ id: JobID, _ script: String, isRecovered: Bool = false, epoch: UInt64 = 1) throws {
        let definition = AgentDefinition(
            name: .measured, summary: "", argv: ["/bin/bash", "--noprofile", "--norc", "-c", script],
            environment: [:], sandbox: .measured, closing: [], restartIntensity: 0, restartPeriod: .seconds(1))
        self.directory = AgentDirectory(root: bench.configuration.root, id: id)
        let ready = self.ready
        self.agent = Agent(
            Agent.Assignment(
                directory: self.directory, definition: definition, profile: .measured,
                workspacePath: bench.workspace, prompt: "", isRecovered: isRecovered, epoch: epoch),
            configuration: bench.configuration, group: .singleton, logger: bench.logger,
            token: { (0..<32).map { _ in UInt8.random(in: 0...255) } },
            report: { if $0 == .ready || $0 == .busy { ready.fire() } })
    }

    func start() {
        let agent = self.agent
        self.task.withLock { $0 = Task { try await agent.run(ready: {}) } }
    }

    func end() async throws -> ExitRecord {
        guard let task = self.task.withLock({ $0 }) else { throw BenchFailure("it was never started") }
        return try await task.value
    }

    /// Whether it has drawn this often.
    func hasDrawn(_ count: Int) -> Bool {
        let log = FileManager.default.contents(atPath: self.directory.logPath(1)) ?? Data()
        return log.contains(Data("\u{1b}[H\(count) ".utf8))
    }

    func stop() async {
        let task = self.task.withLock { $0 }
        task?.cancel()
        _ = await task?.result
    }
}

/// Processes of this user: numbers, parents, and what of memory is theirs.
enum Processes {
    static func all() -> [(pid: Int32, parent: Int32, line: String)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.compactMap { pid in
            guard let stat = FileManager.default.contents(atPath: "/proc/\(pid)/stat"),
                let fields = String(decoding: stat, as: UTF8.self).split(separator: ")").last?.split(separator: " "),
                fields.count > 12, fields[0] != "Z", let parent = Int32(fields[1])
            else { return nil }
            let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            return (pid, parent, String(decoding: line, as: UTF8.self).replacing("\0", with: " "))
        }
    }

    static func descendants(of roots: Set<Int32>) -> Set<Int32> {
        let all = self.all()
        var found = roots
        while true {
            let new = all.filter { found.contains($0.parent) && !found.contains($0.pid) }
            if new.isEmpty { return found }
            found.formUnion(new.map(\.pid))
        }
    }

    /// User and system time, in microseconds.
    static func time(of pids: Set<Int32>) -> Double {
        pids.reduce(0) { sum, pid in
            let stat = FileManager.default.contents(atPath: "/proc/\(pid)/stat") ?? Data()
            let fields = String(decoding: stat, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
            guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return sum }
            return sum + (user + system) * 1e6 / Double(sysconf(Int32(_SC_CLK_TCK)))
        }
    }

    /// Proportional set size in KiB. Of a process that hides its memory, as the shim does, what is its alone: its file pages
    /// are those of all shims.
    static func memory(of pid: Int32) -> Int {
        func field(_ path: String, _ name: String) -> Int? {
            let text = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
            return text.split(separator: "\n").first { $0.hasPrefix(name) }?.split(separator: " ").dropFirst().first
                .flatMap { Int($0) }
        }
        return field("/proc/\(pid)/smaps_rollup", "Pss:") ?? field("/proc/\(pid)/status", "RssAnon:") ?? 0
    }
}

struct Bench: Sendable {
    let configuration: AgentConfiguration
    let workspace: String
    let logger = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }

    static func id() -> JobID {
        JobID(
            milliseconds: UInt64(Date().timeIntervalSince1970 * 1000), randomHigh: .random(in: 0...(.max)),
            randomLow: .random(in: 0...(.max)))
    }

    /// From the request to the program's first byte, against plain spawns of the same program.
    func spawn(rounds: Int) async throws {
        var whole: [Double] = []
        var sandboxed: [Double] = []
        var plain: [Double] = []
        let commands = CommandRunner(configuration: self.configuration, processID: getpid())
        for _ in 0..<rounds {
            let runner = try Runner(self, Self.id(), "echo ready; exec sleep 60")
            let start = ContinuousClock.now
            runner.start()
            whole.append(milliseconds(await runner.ready.wait() - start))
            await runner.stop()
            let second = ContinuousClock.now
            _ = try await commands.run(["/bin/true"], input: [], profile: .measured, workspacePath: self.workspace)
            sandboxed.append(milliseconds(.now - second))
            let third = ContinuousClock.now
            _ = try await Subprocess.run(.path("/bin/true"), output: .discarded, error: .discarded)
            plain.append(milliseconds(.now - third))
        }
        say("launch of an agent (tmux, shim, sandbox, first byte)   \(Percentiles(whole))")
        say("a command in a sandbox, start to end                   \(Percentiles(sandboxed))")
        say("a plain command, start to end                          \(Percentiles(plain))")
        say(
            String(
                format: "ratio of a sandboxed command to a plain one            %.1f",
                Percentiles(sandboxed).median / Percentiles(plain).median))
    }

    /// Programs that print much and end at once: every byte and every status must be there.
    func bytes(count: Int, killingTmux: Bool) async throws {
        let expected = (1...20_000).map { "\($0)\r\n" }.joined()
        var exact = 0
        let start = ContinuousClock.now
        let width = 8
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<count {
                if number >= width, try await group.next() == true { exact += 1 }
                group.addTask {
                    let runner = try Runner(self, Self.id(), "seq 1 20000; exit \(number % 100)")
                    runner.start()
                    if killingTmux {
                        _ = await runner.ready.wait()
                        for process in Processes.all()
                        where process.line.contains("\(runner.directory.id)") && process.line.contains("tmux") {
                            kill(process.pid, SIGKILL)
                        }
                    }
                    _ = try? await runner.end()
                    let record = try runner.directory.exitRecord(1)
                    let log = FileManager.default.contents(atPath: runner.directory.logPath(1))
                    return record?.code == Int32(number % 100) && log == Data(expected.utf8)
                }
            }
            for try await isExact in group where isExact { exact += 1 }
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        say(
            "\(count) agents of 20,000 lines\(killingTmux ? ", tmux servers killed" : ""): \(exact) exact logs and statuses, "
                + String(format: "%.1f s", seconds))
        guard exact == count else { throw BenchFailure("\(count - exact) logs or statuses were not exact") }
    }

    /// Many agents at once: messages, memory, a new owner, a crash, drawing, the end.
    func crowd(_ count: Int) async throws {
        let script = """
            trap 'D=1' USR1; echo ready
            while read -r line; do [ "$line" = draw ] && for i in $(seq 100); do printf '\\033[H%s %0200d' $i $i; sleep 0.1; done; done
            """
        let runners = try (0..<count).map { _ in try Runner(self, Self.id(), script) }
        for runner in runners {
            runner.start()
            _ = await runner.ready.wait()
        }
        let shims = Set(
            Processes.all().filter { $0.line.contains("orchestra-shim agent") && !$0.line.contains("tmux") }.map(\.pid))
        let servers = Set(Processes.all().filter { $0.line.hasPrefix("tmux") || $0.line.contains("/tmux ") }.map(\.pid))
        let tree = Processes.descendants(of: shims)
        let own = tree.union(servers).filter { pid in
            !(Processes.all().first { $0.pid == pid }?.line.contains("--noprofile --norc -c") ?? true)
                || servers.contains(pid) || shims.contains(pid)
        }
        let memory = own.reduce(0) { $0 + Processes.memory(of: $1) }
        say(
            "memory of an agent outside the agent itself             \(memory / max(1, shims.count)) KiB (proportional)"
        )

        try self.messages(runners)
        try await self.drawing(runners, own)
        try await wait(for: "the last agent to finish drawing") { runners.allSatisfy { $0.hasDrawn(100) } }
        try await self.adoption(runners)
        try await self.crashes(runners)
        for runner in runners { await runner.stop() }
        let ids = runners.map { "\($0.directory.id)" }
        try await wait(for: "the end of the agents' processes") {
            !Processes.all().contains { process in ids.contains { process.line.contains($0) } }
        }
        say("processes left after the stop                           0")
    }

    /// From sending to the receipt that the bytes are in the terminal, over a connection that stays.
    private func messages(_ runners: [Runner]) throws {
        var times: [Double] = []
        for runner in runners {
            guard let bytes = FileManager.default.contents(atPath: runner.directory.generationPath(1) + "/launch"),
                let spec = try? LaunchSpec(decoding: Array(bytes))
            else { throw BenchFailure("a launch file cannot be read") }
            let socket = unsafe orc_connect_unix(runner.directory.generationPath(1) + "/s")
            guard socket >= 0 else { throw BenchFailure("a shim does not answer") }
            defer { close(socket) }
            var buffer: [UInt8] = []
            func send(_ frame: ShimFrame) { _ = unsafe write(socket, frame.encoded, frame.encoded.count) }
            func next() throws -> ShimFrame {
                while true {
                    if let frame = try ShimFrame.next(from: &buffer) { return frame }
                    var part = [UInt8](repeating: 0, count: 65536)
                    let count = unsafe read(socket, &part, part.count)
                    guard count > 0 else { throw BenchFailure("a shim closed its connection") }
                    buffer += part.prefix(count)
                }
            }
            send(.hello(token: spec.token, epoch: 0))
            _ = try next()
            for _ in 0..<20 {
                let key = (0..<16).map { _ in UInt8.random(in: 0...255) }
                let start = ContinuousClock.now
                send(.message(key: key, text: "x"))
                while true {
                    if case .receipt(let receipt) = try next(), receipt.key == key, receipt.stage == .written { break }
                }
                times.append(milliseconds(.now - start))
            }
        }
        say("message to one of \(runners.count) agents, until it is in its terminal  \(Percentiles(times))")
    }

    private func drawing(_ runners: [Runner], _ own: Set<Int32>) async throws {
        for runner in runners {
            _ = try await AgentOperator(directory: runner.directory, generation: 1, group: .singleton)
                .send(.text("draw"), key: Array(UUID().uuidString.utf8), until: .written, timeout: .seconds(5)) { _ in }
        }
        try await wait(for: "all agents to draw") { runners.allSatisfy { $0.hasDrawn(1) } }
        let before = Processes.time(of: own)
        let start = ContinuousClock.now
        // The sampling interval: the share is of time that passes, and the agents draw for ten seconds.
        try await Task.sleep(for: .seconds(6))
        let share = (Processes.time(of: own) - before) / ((ContinuousClock.now - start) / .microseconds(1)) * 100
        say(
            String(
                format:
                    "%d agents that draw ten times a second                %.0f %% of a core, the agents themselves not counted",
                runners.count, share))
    }

    /// New owners for all of them, as after a restart of the node.
    private func adoption(_ runners: [Runner]) async throws {
        let owners = try runners.map { try Runner(self, $0.directory.id, "", isRecovered: true, epoch: 2) }
        let start = ContinuousClock.now
        for owner in owners { owner.start() }
        for owner in owners { _ = await owner.ready.wait() }
        say(
            String(
                format: "%d agents taken back by a new owner                   %.0f ms", runners.count,
                milliseconds(.now - start)))
        for (runner, owner) in zip(runners, owners) {
            // The old owner was refused by the shim; the new one goes on in its place.
            _ = try? await runner.end()
            runner.task.withLock { $0 = owner.task.withLock { $0 } }
        }
    }

    /// From the death of the sandbox' first process to the owner's knowledge.
    private func crashes(_ runners: [Runner]) async throws {
        var times: [Double] = []
        for runner in runners.prefix(50) {
            let all = Processes.all()
            guard
                let shim = all.first(where: {
                    $0.line.contains("orchestra-shim agent") && $0.line.contains("\(runner.directory.id)")
                        && !$0.line.hasPrefix("tmux")
                }),
                let launcher = all.first(where: { $0.parent == shim.pid }),
                let first = all.first(where: { $0.parent == launcher.pid })
            else { throw BenchFailure("a sandbox was not found") }
            let start = ContinuousClock.now
            kill(first.pid, SIGKILL)
            _ = try? await runner.end()
            times.append(milliseconds(.now - start))
        }
        say("a crash, until its owner has the exit record            \(Percentiles(times))")
    }
}

let directory = "/tmp/orc-bench-\(getpid())"
try FileManager.default.createDirectory(
    atPath: directory + "/w", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
defer { try? FileManager.default.removeItem(atPath: directory) }
let built = URL(fileURLWithPath: (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "")
    .deletingLastPathComponent().path
let host = SandboxHost(
    launcher: "/usr/bin/bwrap", shim: built + "/orchestra-shim",
    program: { FileManager.default.isExecutableFile(atPath: "/usr/bin/\($0)") ? "/usr/bin/\($0)" : nil },
    controlGroups: .delegated())
var configuration = AgentConfiguration(
    root: directory + "/a", workspaces: directory, shim: built + "/orchestra-shim", tmux: "/usr/bin/tmux",
    plan: SandboxPlan(host: host, tier: .ownUser, slots: UserSlots(path: directory + "/users")),
    orphanGrace: .seconds(60), secrets: SecretStore(root: directory + "/secrets"))
let wanted = SandboxTier(rawValue: option("--tier", 0)).map { $0 == .none ? [.ownUser, .namespaces] : [$0] } ?? []
let tier = await SandboxMeasure.run(
    configuration, tiers: wanted, workspace: directory + "/w", processID: getpid()
).tier
guard tier > .none else { throw BenchFailure("this host does not give the tier") }
configuration.plan = configuration.plan.at(tier)
say("tier \(tier.rawValue), \(option("--agents", 100)) agents")
let bench = Bench(configuration: configuration, workspace: directory + "/w")
do {
    try await bench.spawn(rounds: option("--rounds", 30))
    try await bench.crowd(option("--agents", 100))
    try await bench.bytes(count: option("--logs", 200), killingTmux: false)
    try await bench.bytes(count: option("--logs", 200), killingTmux: true)
} catch {
    say("failed: \(error)")
    exit(1)
}
