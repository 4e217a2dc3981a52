internal import Domain
internal import Foundation
package import Sandboxing
package import ShimProtocol
internal import Subprocess
internal import SystemPackage

/// Runs one command in a sandbox by way of the shim, which is single-threaded and so a safe parent for a
/// launcher that dies with its parent's thread.
package struct CommandRunner: Sendable {
    private let configuration: AgentConfiguration
    private let processID: Int32

    /// `processID` is this process: the shim ends its command when it is gone.
    package init(configuration: AgentConfiguration, processID: Int32) {
        self.configuration = configuration
        self.processID = processID
    }

    /// Runs to the end and returns the record. Throws `AgentError.launchFailed` when the definition or the job is the
    /// reason that nothing could be started, `AgentError.hostUnavailable` when this node is, and `CommandInterruption` when
    /// the task is canceled, after the command's whole tree has ended; `CancellationError` when nothing had begun then.
    ///
    /// `caller` is whose connections those of a profile with egress are. `progress` receives what the command says of its progress, a percentage and a text.
    package func run(
        _ argv: [String], input: [UInt8], environment: [String: String] = [:], secrets: [LaunchSpec.Secret] = [],
        profile: SandboxProfile, workspacePath: String, caller: EgressHello? = nil,
        progress: @escaping @Sendable (Int, String) -> Void = { _, _ in }
    ) async throws -> ExitRecord {
        try await self.configuration.gate?.pass()
        return try await self.run(
            try await self.launch(
                argv, input: input, environment: environment, secrets: secrets, profile: profile,
                workspacePath: workspacePath, caller: caller),
            progress: progress)
    }

    /// What the guard reports of a sandbox of this profile, at the configured tier. Throws as `run` does.
    package func report(profile: SandboxProfile, workspacePath: String) async throws -> SandboxReport {
        let spec = try await self.launch(
            ["/bin/true"], input: [], environment: [:], profile: profile, workspacePath: workspacePath, isReport: true)
        let record = try await self.run(spec)
        return SandboxReport(String(decoding: record.output, as: UTF8.self))
    }

    private func launch(
        _ argv: [String], input: [UInt8], environment: [String: String], secrets: [LaunchSpec.Secret] = [],
        profile: SandboxProfile, workspacePath: String, caller: EgressHello? = nil, isReport: Bool = false
    ) async throws -> LaunchSpec {
        let egress = self.configuration.egress.flatMap { endpoint in caller.map { EgressAccess($0, at: endpoint) } }
        let (configuration, processID) = (self.configuration, self.processID)
        return try await configuration.files.run {
            do throws(SandboxError) {
                return try configuration.plan.launch(
                    argv, environment: environment, secrets: secrets, profile: profile, workspace: workspacePath,
                    connection: .command(
                        input: input, outputLimit: configuration.outputLimit, ownerPID: processID),
                    egress: egress, isReport: isReport)
            } catch {
                throw AgentError(error)
            }
        }
    }

    /// The same for a launch that is made already, in command mode.
    package func run(
        _ spec: LaunchSpec, progress: @escaping @Sendable (Int, String) -> Void = { _, _ in }
    ) async throws -> ExitRecord {
        // Without them the shim could not be started or not be followed, and which of the two is not known afterwards.
        do { try LaunchCheck.openDescriptors() } catch { throw AgentError(error) }  // system calls that do not wait
        let input = try SpecFile(spec.encoded)
        defer { input.close() }
        let shim: (status: TerminationStatus, output: [UInt8], errorOutput: String)
        do {
            shim = try await self.runShim(input.descriptor, progress)
        } catch let error as SubprocessError where [.spawnFailed, .executableNotFound].contains(error.code) {
            try Task.checkCancellation()
            throw AgentError(code: .hostUnavailable, message: "the command's shim could not be started: \(error)")
        } catch {
            try Task.checkCancellation()
            throw AgentError(code: .crashed, message: "the command's shim could not be followed: \(error)")
        }
        guard shim.status.isSuccess else {
            try Task.checkCancellation()
            // One that was killed may have had its command running.
            throw AgentError(
                code: .crashed, message: "the command's shim failed (\(shim.status)): \(shim.errorOutput)")
        }
        let record: ExitRecord
        do {
            record = try ExitRecord(decoding: shim.output)
        } catch {
            throw AgentError(code: .crashed, message: "the command's exit record is malformed: \(error)")
        }
        return try Self.checked(record)
    }

    /// The record of a command that had its run. A command that ended by itself has had its effects, even when its task
    /// was canceled meanwhile.
    private static func checked(_ record: ExitRecord) throws -> ExitRecord {
        let words = Printable.text(String(decoding: record.errorOutput, as: UTF8.self), limit: 300)
        let text = words.isEmpty ? "" : ": \(words)"
        switch record.endedBy {
        case .itself: return record
        case .launchFailed:
            try Task.checkCancellation()
            throw AgentError(code: .launchFailed, message: "the command was not run: \(record.summary)\(text)")
        case .hostFailed:
            try Task.checkCancellation()
            throw AgentError(code: .hostUnavailable, message: "the command was not run: \(record.summary)\(text)")
        case .stop, .orphaned, .logQuota, .logFailed:
            guard !Task.isCancelled else { throw CommandInterruption(record: record) }
            return record
        }
    }

    /// Runs the shim to its end: its status, its standard output, and its other error output. When the task is canceled the
    /// shim is asked to end its program, and its record is still read; after the stop timeout it is killed.
    private func runShim(
        _ input: FileDescriptor, _ progress: @escaping @Sendable (Int, String) -> Void
    ) async throws -> (TerminationStatus, [UInt8], String) {
        let (stops, stop) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        return try await withTaskCancellationHandler {
            defer { stop.finish() }
            // A canceled read loses the outputs.
            return try await withoutCancellation { () async throws -> (TerminationStatus, [UInt8], String) in
                try await self.runShim(input, stops, progress)
            }
        } onCancel: {
            stop.yield()
        }
    }

    private func runShim(
        _ input: FileDescriptor, _ stops: AsyncStream<Void>, _ progress: @escaping @Sendable (Int, String) -> Void
    ) async throws -> (TerminationStatus, [UInt8], String) {
        var options = PlatformOptions()
        // A session of its own: ^C at the node's terminal asks the node to drain, not the commands to end.
        options.createSession = true
        let stopTimeout = self.configuration.stopTimeout
        let result = try await Subprocess.run(
            .path(FilePath(self.configuration.shim)), arguments: ["command"],
            environment: .custom(["SWIFT_BACKTRACE": "enable=no"]), platformOptions: options,
            input: .fileDescriptor(input, closeAfterSpawningProcess: false),
            output: .bytes(limit: 4 * self.configuration.outputLimit + 4096),
            error: .sequence
        ) { execution in
            let process = execution.processIdentifier.value
            return await withTaskGroup(of: Void.self) { tasks in
                tasks.addTask { await Self.end(process, when: stops, within: stopTimeout) }
                defer { tasks.cancelAll() }
                var errorOutput = ""
                do {
                    for try await line in execution.standardError.strings() {
                        if let said = ShimProgress.parse(line) {
                            progress(said.percent, said.text)
                        } else if errorOutput.utf8.count < 4096 {
                            errorOutput += line
                        }
                    }
                } catch {
                    // It ends with its process, whose record holds the rest.
                }
                return errorOutput
            }
        }
        return (result.terminationStatus, Array(result.standardOutput), result.closureResult)
    }

    /// Asks the shim to end once there is a stop, and kills it after `timeout`. The process is a child that is not reaped
    /// before this has ended.
    private static func end(_ process: Int32, when stops: AsyncStream<Void>, within timeout: Duration) async {
        for await _ in stops {
            _ = kill(process, SIGTERM)
            do { try await ContinuousClock().sleep(for: timeout) } catch { return }
            _ = kill(process, SIGKILL)
        }
    }
}
