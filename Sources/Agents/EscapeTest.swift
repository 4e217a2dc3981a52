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
    /// The result of one escape attempt.
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
        // Nothing that an attempt prints may be left out: it could be the secret.
        self.configuration.outputLimit = 4 * 1024 * 1024
        self.profile = profile
        self.directory = directory
        self.processID = processID
    }

    /// Tries every attempt that `isWanted` names, one after another; `each` receives every result. Throws `AgentError`
    /// when the surroundings cannot be made; nothing of them is left then.
    package func run(
        _ isWanted: @escaping @Sendable (EscapeAttempt) -> Bool = { _ in true },
        each: @escaping @Sendable (Result) -> Void = { _ in }
    ) async throws -> [Result] {
        let (directory, shim) = (self.directory, self.configuration.shim)
        let outside = try await self.configuration.files.run {
            let outside = try EscapeSurroundings(directory)
            do { try outside.prepare(tool: shim) } catch {
                outside.remove()
                throw error
            }
            return outside
        }
        let results: [Result]
        do {
            results = try await self.results(isWanted, outside, each)
        } catch {
            await self.remove(outside)
            throw error
        }
        await self.remove(outside)
        return results
    }

    /// Nothing of the surroundings may be left, also after a cancellation.
    private func remove(_ outside: EscapeSurroundings) async {
        let files = self.configuration.files
        await withoutCancellation {
            // The removal does not throw; when no thread of the pool is left, the node is at its end.
            try? await files.run { outside.remove() }
        }
    }

    private func results(
        _ isWanted: @escaping @Sendable (EscapeAttempt) -> Bool, _ outside: EscapeSurroundings,
        _ each: @escaping @Sendable (Result) -> Void
    ) async throws -> [Result] {
        let tmux = TmuxServer(executable: self.configuration.tmux, socket: outside.pane)
        let results: [Result]
        do {
            _ = try await tmux.start(
                configurationFile: outside.tmuxFile, argv: ["/bin/sleep", "3600"], directory: outside.path)
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
            // A node that stops cancels the test, and the server must not stay behind.
            await withoutCancellation { await tmux.stop() }
            throw error
        }
        await tmux.stop()
        // Only the sandbox's own user may remove all that it made.
        _ = try await CommandRunner(configuration: self.configuration, processID: self.processID).run(
            ["/usr/bin/find", ".", "-mindepth", "1", "-delete"], input: [], profile: self.profile.withoutEgress,
            workspacePath: outside.workspace)
        return results
    }

    /// Runs `body` next to a process outside that holds the secret in its environment and its arguments.
    private func withDecoy<Value: Sendable>(
        _ outside: EscapeSurroundings, _ body: @escaping (Int32) async throws -> Value
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
                Self.kill(execution)
                return Swift.Result<Value, any Error>.success(value)
            } catch {
                Self.kill(execution)
                return .failure(error)
            }
        }
        return try ended.closureResult.get()
    }

    private static func kill(
        _ execution: borrowing Execution<some InputProtocol, some OutputProtocol, some OutputProtocol>
    ) {
        // An attempt may have killed it before us, which its evidence says.
        try? execution.send(signal: .kill)
    }

    private func runInTime(
        _ attempt: EscapeAttempt, _ outside: EscapeSurroundings, decoy: Int32
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

    private func run(_ attempt: EscapeAttempt, _ outside: EscapeSurroundings, decoy: Int32) async throws -> Result {
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
            let spec = try await self.spec(
                argv, environment, outside,
                .command(input: [], outputLimit: self.configuration.outputLimit, ownerPID: self.processID))
            let record = try await CommandRunner(configuration: self.configuration, processID: self.processID).run(spec)
            output = record.output + record.errorOutput
        }
        let evidence = try await self.configuration.files.run { try outside.evidence(of: output, decoy: decoy) }
        return Result(attempt: attempt, evidence: evidence)
    }

    private func spec(
        _ argv: [String], _ environment: [String: String], _ outside: EscapeSurroundings,
        _ connection: SandboxPlan.Connection
    ) async throws -> LaunchSpec {
        let launch = self.launch
        return try await self.configuration.files.run {
            do { return try launch(argv, environment, outside.workspace, connection) } catch let error as SandboxError {
                throw AgentError(error)
            }
        }
    }

    private func runInTerminal(
        _ argv: [String], _ environment: [String: String], _ outside: EscapeSurroundings
    ) async throws -> [UInt8] {
        let spec = try await self.spec(argv, environment, outside, .direct(terminal: (columns: 80, rows: 24)))
        let input = try SpecFile(spec.encoded)
        defer { input.close() }
        let result = try await Subprocess.run(
            .path(FilePath(self.configuration.shim)), arguments: ["direct", "0"],
            environment: .custom(["SWIFT_BACKTRACE": "enable=no"]),
            input: .fileDescriptor(input.descriptor, closeAfterSpawningProcess: false),
            output: .bytes(limit: 4 * 1024 * 1024), error: .string(limit: 4096))
        guard result.terminationStatus != .exited(GuardWords.refusal) else {
            let words = result.standardError + String(decoding: result.standardOutput, as: UTF8.self)
            throw AgentError(
                code: .launchFailed,
                message: "the sandbox of an attempt was refused: \(Printable.text(words, limit: 400))")
        }
        return Array(result.standardOutput)
    }
}
