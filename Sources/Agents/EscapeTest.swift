internal import CLinux
internal import Domain
internal import Foundation
package import Sandboxing
package import ShimProtocol
internal import Subprocess
internal import SystemPackage
internal import Terminals

/// Runs the battery of escape attempts in real sandboxes, and judges each by what is seen outside.
package struct EscapeTest: Sendable {
    package struct Result: Sendable {
        package let attempt: EscapeAttempt
        /// What was seen outside that must not be, nil when the sandbox held.
        package let evidence: String?
        package var holds: Bool { self.evidence == nil }
    }

    /// Makes the launch of a program with these arguments and variables in that workspace.
    package typealias Launch =
        @Sendable ([String], [String: String], String, SandboxPlan.Connection) throws -> LaunchSpec

    private var configuration: AgentConfiguration
    private let launch: Launch
    private let profile: SandboxProfile
    private let directory: String
    private let processID: Int32

    private static let attemptSeconds = 10
    /// The end of an attempt's launch, run and clean-up together; whatever hangs then, nothing is known.
    private static let attemptLimit = Duration.seconds(30)

    /// `directory` is an empty one of ours, which is empty again afterwards. `launch` is the plan's own unless it is the
    /// test itself that is tested.
    package init(
        configuration: AgentConfiguration, profile: SandboxProfile, directory: String, processID: Int32,
        launch: Launch? = nil
    ) {
        let plan = configuration.plan
        self.launch =
            launch ?? {
                try plan.launch($0, environment: $1, profile: profile, workspace: $2, connection: $3)
            }
        self.configuration = configuration
        self.configuration.gate = nil
        self.profile = profile
        self.directory = directory
        self.processID = processID
    }

    /// Tries every attempt that `isWanted` names, one after another; `each` hears of every result. Throws `AgentError`
    /// when the surroundings cannot be made; nothing of them is left then.
    package func run(
        _ isWanted: @escaping @Sendable (EscapeAttempt) -> Bool = { _ in true },
        each: @escaping @Sendable (Result) -> Void = { _ in }
    ) async throws -> [Result] {
        let outside = try Outside(self.directory)
        defer { outside.remove() }
        try outside.prepare(tool: self.configuration.shim)
        let tmux = TmuxServer(executable: self.configuration.tmux, socket: outside.pane)
        _ = try await tmux.start(
            configurationFile: outside.tmuxFile, argv: ["/bin/sleep", "3600"], directory: outside.path)
        let results: [Result]
        do {
            results = try await self.withDecoy(outside) { decoy in
                var results: [Result] = []
                for attempt in EscapeAttempt.all where isWanted(attempt) {
                    let result = try await self.runInTime(attempt, outside, decoy: decoy)
                    each(result)
                    results.append(result)
                }
                return results
            }
        } catch {
            await tmux.stop()
            throw error
        }
        await tmux.stop()
        // Only the sandbox' own user may remove all that it made.
        _ = try await CommandRunner(configuration: self.configuration, processID: self.processID).run(
            ["/usr/bin/find", ".", "-mindepth", "1", "-delete"], input: [], profile: self.profile,
            workspacePath: outside.workspace)
        return results
    }

    /// A process outside that holds the secret in its environment and its arguments.
    private func withDecoy<Value: Sendable>(
        _ outside: Outside, _ body: @escaping (Int32) async throws -> Value
    ) async throws -> Value {
        var options = PlatformOptions()
        options.createSession = true
        let ended = try await Subprocess.run(
            .path("/bin/bash"), arguments: ["-c", "exec -a \"$0\" sleep 3600", outside.secret],
            environment: .custom(["SECRET": outside.secret, "PATH": "/usr/bin:/bin"]), platformOptions: options,
            input: .none, output: .discarded, error: .sequence
        ) { execution in
            let number = execution.processIdentifier.value
            do {
                let value = try await body(number)
                try? execution.send(signal: .kill)
                return Swift.Result<Value, any Error>.success(value)
            } catch {
                try? execution.send(signal: .kill)
                return .failure(error)
            }
        }
        return try ended.closureResult.get()
    }

    private func runInTime(
        _ attempt: EscapeAttempt, _ outside: Outside, decoy: Int32
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result.self) { group in
            group.addTask { try await self.run(attempt, outside, decoy: decoy) }
            group.addTask {
                try await ContinuousClock().sleep(for: Self.attemptLimit)
                throw AgentError(
                    code: .launchFailed,
                    message: "the attempt '\(attempt.name)' did not end within \(Self.attemptLimit)")
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }

    private func run(_ attempt: EscapeAttempt, _ outside: Outside, decoy: Int32) async throws -> Result {
        let isNamespaced = self.configuration.plan.tier >= .namespaces
        let environment = outside.environment(
            decoy: decoy, workspace: isNamespaced ? SandboxPlan.workspacePath : outside.workspace
        ).merging(EscapeAttempt.numbers) { $1 }
        let argv = [
            "/usr/bin/timeout", "--foreground", "-k", "1", String(Self.attemptSeconds), "/bin/bash", "--noprofile",
            "--norc", "-c", EscapeAttempt.prologue + attempt.script,
        ]
        let output: [UInt8]
        if attempt.needsTerminal {
            output = try await self.runInTerminal(argv, environment, outside)
        } else {
            let record = try await CommandRunner(configuration: self.configuration, processID: self.processID).run(
                try self.launch(
                    argv, environment, outside.workspace,
                    .command(input: [], outputLimit: self.configuration.outputLimit, ownerPID: self.processID)))
            output = record.output + record.errorOutput
        }
        return Result(attempt: attempt, evidence: outside.evidence(of: output, decoy: decoy))
    }

    private func runInTerminal(
        _ argv: [String], _ environment: [String: String], _ outside: Outside
    ) async throws -> [UInt8] {
        let spec = try self.launch(
            argv, environment, outside.workspace, .direct(terminal: (columns: 80, rows: 24)))
        let input = try SpecFile(spec.encoded)
        defer { input.close() }
        let result = try await Subprocess.run(
            .path(FilePath(self.configuration.shim)), arguments: ["direct", "0"],
            environment: .custom(["SWIFT_BACKTRACE": "enable=no"]),
            input: .fileDescriptor(input.descriptor, closeAfterSpawningProcess: false),
            output: .bytes(limit: 4 * 1024 * 1024), error: .discarded)
        guard result.terminationStatus != .exited(GuardWords.refusal) else {
            throw AgentError(code: .launchFailed, message: "the sandbox of '\(argv.last ?? "")' was refused")
        }
        return Array(result.standardOutput)
    }
}

/// What the attempts aim at, and what tells whether one of them hit.
private struct Outside: Sendable {
    let path: String
    let workspace: String
    let secret: String
    let pane: String
    let tmuxFile: String
    private let words: String
    private let mark: String
    private let memoryFile: String
    private let listeners: [Int32]
    private let port: Int32
    private let sharedMemory: Int32
    private let key: Int32
    private let tool: String

    private static let keyName = "orchestra-escape-test"

    init(_ directory: String) throws {
        let random = { String(UInt64.random(in: 1 << 60...UInt64.max), radix: 36) }
        self.path = directory + "/outside"
        self.workspace = directory + "/workspace"
        self.secret = "secret-\(random())"
        self.words = "words-\(random())"
        self.mark = String(UInt32.random(in: 100_000_000...UInt32.max))
        self.pane = self.path + "/t"
        self.tmuxFile = self.path + "/tmux.conf"
        self.tool = self.workspace + "/.tool"
        // A test that was cut off left its own.
        try? FileManager.default.removeItem(atPath: self.path)
        for made in [self.path, self.workspace] {
            try FileManager.default.createDirectory(
                atPath: made, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        self.memoryFile = "/dev/shm/orchestra-\(random())"
        let tcp = orc_listen_loopback(0, 0)
        self.port = orc_local_port(tcp)
        self.listeners = [
            tcp, orc_listen_loopback(UInt16(clamping: self.port), 1), unsafe orc_listen_unix(self.path + "/s"),
            unsafe orc_listen_abstract(self.words),
        ]
        let bytes = Array(self.secret.utf8)
        self.sharedMemory = unsafe orc_share_memory(bytes, bytes.count)
        self.key = unsafe orc_add_key(Self.keyName, bytes, bytes.count)
        guard self.listeners.allSatisfy({ $0 >= 0 }) else {
            self.remove()
            throw AgentError(code: .launchFailed, message: "the surroundings of the escape test could not be made")
        }
    }

    func prepare(tool shim: String) throws {
        try Data((self.secret + "\n").utf8).write(to: URL(fileURLWithPath: self.path + "/secret"))
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o600], ofItemAtPath: self.path + "/secret")
        try Data(TmuxServer.configurationText.utf8).write(to: URL(fileURLWithPath: self.tmuxFile))
        try Data(self.secret.utf8).write(to: URL(fileURLWithPath: self.memoryFile))
        try? FileManager.default.removeItem(atPath: self.tool)
        try FileManager.default.copyItem(atPath: shim, toPath: self.tool)
    }

    func remove() {
        for listener in self.listeners where listener >= 0 { close(listener) }
        if self.sharedMemory >= 0 { _ = orc_remove_memory(self.sharedMemory) }
        if self.key >= 0 { _ = orc_remove_key(self.key) }
        for made in [self.path, self.workspace, self.memoryFile] { try? FileManager.default.removeItem(atPath: made) }
    }

    func environment(decoy: Int32, workspace: String) -> [String: String] {
        [
            "OUT": self.path, "WORDS": self.words, "MARK": self.mark, "TOOL": workspace + "/.tool",
            "DECOY": String(decoy), "PORT": String(self.port), "NAME": self.words, "SOCKET": self.path + "/s",
            "PANE": self.pane, "SHARED": String(self.sharedMemory), "KEY": Self.keyName,
        ]
    }

    /// The first thing that must not be, nil when there is none.
    func evidence(of output: [UInt8], decoy: Int32) -> String? {
        let text = String(decoding: output, as: UTF8.self)
        if text.contains(self.secret) { return "the secret came out" }
        let lines = text.split(whereSeparator: \.isNewline)
        if lines.contains(where: { $0 == self.words }) { return "it got what it must not get: \(text.prefix(300))" }
        let known: Set<String> = ["secret", "s", "t", "tmux.conf"]
        let found = Set((try? FileManager.default.contentsOfDirectory(atPath: self.path)) ?? [])
        if found != known { return "outside there is now \(found.symmetricDifference(known).sorted())" }
        if FileManager.default.contents(atPath: self.path + "/secret") != Data((self.secret + "\n").utf8) {
            return "the file outside was changed"
        }
        var status = stat()
        guard unsafe stat(self.path, &status) == 0, status.st_mode & 0o7777 == 0o700,
            unsafe stat(self.path + "/secret", &status) == 0, status.st_mode & 0o7777 == 0o600
        else { return "modes outside were changed" }
        for (index, listener) in self.listeners.enumerated() where orc_pending_connection(listener) == 1 {
            return "it reached the host by \(["TCP", "UDP", "a socket's path", "an abstract socket"][index])"
        }
        if Self.isDead(decoy) { return "the process outside is dead" }
        if let survivor = self.survivor() { return "a process is left: \(survivor)" }
        if let program = self.setIDProgram() { return "a set-id program was left: \(program)" }
        return nil
    }

    private static func isDead(_ process: Int32) -> Bool {
        guard let status = FileManager.default.contents(atPath: "/proc/\(process)/status") else { return true }
        return String(decoding: status, as: UTF8.self).contains("State:\tZ")
    }

    /// A living process that carries the mark; a zombie is dead.
    private func survivor() -> String? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        for name in names where Int32(name) != nil {
            guard let arguments = FileManager.default.contents(atPath: "/proc/\(name)/cmdline"),
                String(decoding: arguments, as: UTF8.self).contains(".\(self.mark)")
            else { continue }
            return "process \(name)"
        }
        return nil
    }

    private func setIDProgram() -> String? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: self.workspace)) ?? []
        return names.first { name in
            let attributes = try? FileManager.default.attributesOfItem(atPath: "\(self.workspace)/\(name)")
            guard attributes?[.type] as? FileAttributeType == .typeRegular else { return false }
            return ((attributes?[.posixPermissions] as? NSNumber)?.intValue ?? 0) & 0o6000 != 0
        }
    }
}
