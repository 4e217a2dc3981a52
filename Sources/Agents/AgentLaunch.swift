internal import CLinux
internal import Domain
internal import Foundation
internal import Sandboxing
internal import ShimProtocol
internal import Terminals

/// The start of one launch of an agent: its directory, its launch file, its terminal, its secrets.
struct AgentLaunch: Sendable {
    let assignment: Agent.Assignment
    let configuration: AgentConfiguration
    let generation: Int
    let terminal: AgentTerminal
    let clock: any Clock<Duration>
    /// Makes 32 random bytes.
    let token: @Sendable () throws -> [UInt8]

    private var directory: AgentDirectory { self.assignment.directory }

    /// Starts the shim in its terminal; whether the program runs is said by the shim. Throws `AgentError`, or
    /// `CancellationError`; the caller must stop what may have been started.
    func start() async throws {
        try await self.configuration.gate?.pass()
        let (directory, generation) = (self.directory, self.generation)
        do {
            let secrets = try await self.prepare()
            try await self.terminal.open("agent")
            if !secrets.isEmpty { try await self.handOver(secrets) }
        } catch {
            try Task.checkCancellation()
            // What the shim left is more precise than that its pane is gone.
            let record = try await self.configuration.files.run { try directory.exitRecord(generation) }
            if let record { throw Agent.failure(record, of: self.assignment) }
            switch error {
            case let error as AgentError: throw error
            case let error as HostFileError: throw AgentError(error)
            case let error as TerminalError where error.code == .lost:
                throw AgentError(code: .crashed, message: "\(error)")
            default:
                throw AgentError(
                    code: .hostUnavailable, message: "the agent's terminal could not be started: \(error)")
            }
        }
    }

    /// Makes the generation's directory with all that the shim reads; the secrets that it will ask for.
    private func prepare() async throws -> [LaunchSpec.Secret] {
        let token = try self.token()
        return try await self.configuration.files.run {
            let directory = self.directory
            let secrets = try self.secrets()
            var spec = try self.spec(token: token, secrets: secrets)
            spec.secrets = []
            spec.logQuota = UInt64(self.assignment.definition.logQuota)
            spec.keepsNewestLog = self.assignment.definition.keepsNewestLog
            try directory.make(generation: self.generation)
            try directory.write(ShimFiles.launch, spec.encoded, generation: self.generation)
            if !secrets.isEmpty { try directory.makePipe(ShimFiles.secrets, generation: self.generation) }
            try directory.write("tmux.conf", Array(TmuxServer.configurationText.utf8), generation: self.generation)
            return secrets
        }
    }

    private func spec(token: [UInt8], secrets: [LaunchSpec.Secret]) throws -> LaunchSpec {
        let (assignment, configuration) = (self.assignment, self.configuration)
        guard assignment.definition.promptDelivery == .typed || !assignment.prompt.utf8.contains(0) else {
            throw AgentError(
                code: .launchFailed, message: "the prompt has a NUL character, where an argument of a program would end"
            )
        }
        do throws(SandboxError) {
            return try configuration.plan.launch(
                assignment.definition.arguments(prompt: assignment.prompt),
                environment: assignment.definition.environment, secrets: secrets,
                profile: assignment.profile, workspace: assignment.workspacePath,
                directory: WorkingDirectory.path(assignment.definition.directory, of: assignment.directory.id),
                connection: .terminal(token: token, orphanGrace: configuration.orphanGrace), egress: self.egress)
        } catch {
            throw AgentError(error)
        }
    }

    private var egress: EgressAccess? {
        guard let endpoint = self.configuration.egress, let workspace = self.assignment.workspace else { return nil }
        let hello = EgressHello(
            workspace: workspace, job: self.directory.id, launch: self.generation,
            profile: self.assignment.profile.name, definition: self.assignment.definition.name)
        return EgressAccess(hello, at: endpoint)
    }

    private func secrets() throws -> [LaunchSpec.Secret] {
        let names = self.assignment.definition.secrets
        guard !names.isEmpty else { return [] }
        guard let workspace = self.assignment.workspace else {
            throw AgentError(code: .launchFailed, message: "the agent asks for secrets and belongs to no workspace")
        }
        return try self.configuration.secrets.secrets(names, of: workspace)
    }

    /// Gives the shim the secrets by a pipe that is removed afterwards: no file ever holds them. Nothing here blocks.
    private func handOver(_ secrets: [LaunchSpec.Secret]) async throws {
        let path = "\(self.directory.generationPath(self.generation))/\(ShimFiles.secrets)"
        let (files, bytes) = (self.configuration.files, LaunchSpec.Secret.encoded(secrets))
        let deadline = ContinuousClock.now + self.configuration.launchTimeout
        do {
            while ContinuousClock.now < deadline {
                if try await files.run({ try Self.write(bytes, toReaderOf: path) }) { return }
                try await self.clock.sleep(for: .milliseconds(2))
            }
        } catch {
            try await withoutCancellation { () async throws in try await files.run { _ = unsafe unlink(path) } }
            throw error
        }
        try await files.run { _ = unsafe unlink(path) }
        // It asks before it starts the program.
        throw AgentError(code: .hostUnavailable, message: "the agent's shim did not ask for its secrets in time")
    }

    /// Writes to a pipe and removes its name; false, and nothing is done, while nobody reads it. The name is removed also when
    /// this throws.
    private static func write(_ bytes: [UInt8], toReaderOf path: String) throws -> Bool {
        let pipe = unsafe open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)
        let code = errno
        if pipe < 0, code == ENXIO { return false }
        defer { _ = unsafe unlink(path) }
        guard pipe >= 0 else { throw HostFileError("opened", path, code: code) }
        defer { close(pipe) }
        guard unsafe Glibc.write(pipe, bytes, bytes.count) == bytes.count else {
            throw AgentError(
                code: .launchFailed, message: "the secrets are longer than a pipe: expected 64 KiB in all")
        }
        return true
    }
}
