internal import Domain
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

    /// Runs to the end and returns the record. Throws `AgentError.launchFailed` when the sandbox could not be
    /// set up. When the task is cancelled the command's whole tree is ended before this throws.
    ///
    /// `progress` hears what the command says of its progress, a percentage and a text.
    package func run(
        _ argv: [String], input: [UInt8], environment: [String: String] = [:], secrets: [LaunchSpec.Secret] = [],
        profile: SandboxProfile, workspacePath: String,
        progress: @escaping @Sendable (Int, String) -> Void = { _, _ in }
    ) async throws -> ExitRecord {
        try await self.configuration.gate?.pass()
        return try await self.run(
            try self.launch(
                argv, input: input, environment: environment, secrets: secrets, profile: profile,
                workspacePath: workspacePath),
            progress: progress)
    }

    /// What the guard sees of a sandbox of this profile, at the configured tier. Throws as `run` does.
    package func report(profile: SandboxProfile, workspacePath: String) async throws -> SandboxReport {
        let spec = try self.launch(
            ["/bin/true"], input: [], environment: [:], profile: profile, workspacePath: workspacePath, isReport: true)
        let record = try await self.run(spec)
        return SandboxReport(String(decoding: record.output, as: UTF8.self))
    }

    private func launch(
        _ argv: [String], input: [UInt8], environment: [String: String], secrets: [LaunchSpec.Secret] = [],
        profile: SandboxProfile, workspacePath: String, isReport: Bool = false
    ) throws -> LaunchSpec {
        do throws(SandboxError) {
            return try self.configuration.plan.launch(
                argv, environment: environment, secrets: secrets, profile: profile, workspace: workspacePath,
                connection: .command(
                    input: input, outputLimit: self.configuration.outputLimit, ownerPID: self.processID),
                isReport: isReport)
        } catch {
            throw AgentError(code: .launchFailed, message: error.message)
        }
    }

    /// The same for a launch that is made already, in command mode.
    package func run(
        _ spec: LaunchSpec, progress: @escaping @Sendable (Int, String) -> Void = { _, _ in }
    ) async throws -> ExitRecord {
        var options = PlatformOptions()
        // A session of its own: ^C at the node's terminal asks the node to drain, not the commands to die.
        options.createSession = true
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: self.configuration.stopTimeout)]
        let input = try SpecFile(spec.encoded)
        defer { input.close() }
        let result = try await Subprocess.run(
            .path(FilePath(self.configuration.shim)), arguments: ["command"],
            environment: .custom(["SWIFT_BACKTRACE": "enable=no"]), platformOptions: options,
            input: .fileDescriptor(input.descriptor, closeAfterSpawningProcess: false),
            output: .bytes(limit: 4 * self.configuration.outputLimit + 4096),
            error: .sequence
        ) { execution in
            var complaints = ""
            do {
                for try await line in execution.standardError.strings() {
                    if let said = ShimProgress.parse(line) {
                        progress(said.percent, said.text)
                    } else if complaints.utf8.count < 4096 {
                        complaints += line
                    }
                }
            } catch {
                // It ends with its process, whose record says the rest.
            }
            return complaints
        }
        guard result.terminationStatus.isSuccess else {
            try Task.checkCancellation()
            // One that was killed may have had its command running.
            throw AgentError(
                code: .crashed,
                message: "the command's shim failed (\(result.terminationStatus)): \(result.closureResult)")
        }
        let record = try ExitRecord(decoding: Array(result.standardOutput))
        // A command that ended by itself has had its effects, whatever was asked of it meanwhile.
        if record.endedBy != .itself { try Task.checkCancellation() }
        guard record.endedBy != .launchFailed else {
            let text = String(decoding: record.errorOutput, as: UTF8.self)
            throw AgentError(
                code: .launchFailed,
                message: "the command's sandbox could not be set up: \(Printable.text(text, limit: 300))")
        }
        return record
    }
}
