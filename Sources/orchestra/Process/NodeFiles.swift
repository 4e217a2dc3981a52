import API
import Agents
import Audit
import Domain
import Jobs
import Logging
import NIOPosix
import Policy
import Sandboxing
import Worker

/// The files of this node's workspaces, for the API.
struct NodeFiles: WorkspaceFiles {
    let context: Context
    /// The sandbox that tar runs in: its tier, and whether programs may run.
    let agents: AgentConfiguration
    /// Brings the files of the last copy here; nil when there are no copies.
    let copier: WorkspaceCopier?
    let policy: PolicyEngine
    let store: any JobStore
    let node: String
    let limits: TransferTally.Limits
    let logger: Logger

    private static let profile = "default"

    var areShared: Bool { self.context.settings.isOn("workspaces.shared") }

    func has(_ workspace: WorkspaceID) async throws -> Bool {
        let directory = "\(self.agents.workspaces)/\(workspace)"
        return try await self.withProblems {
            try await FileSystemPool(.singleton).run { try HostFiles.status(of: directory) != nil }
        }
    }

    func get(
        _ paths: [String], for request: FilesRequest, into sink: @escaping @Sendable ([UInt8]) async throws -> Void
    ) async throws {
        try await self.withProblems {
            try await self.withFiles(of: request.workspace) {
                try await self.transfer(request).get(try TransferOptions.checked(paths), into: sink)
            }
        }
    }

    func put(
        for request: FilesRequest, admitted: @escaping @Sendable () async throws -> Void,
        from source: @escaping @Sendable () async throws -> [UInt8]
    ) async throws -> AuditEvent.Transfer {
        try await self.withProblems {
            let transfer = try self.transfer(request)
            try await self.withFiles(of: request.workspace) {
                try await transfer.put(from: source, admitted: admitted)
            }
            let tally = transfer.transfer.counter.tally
            return AuditEvent.Transfer(bytes: tally.bytes, entries: tally.entries)
        }
    }

    private func withFiles(of workspace: WorkspaceID, _ body: () async throws -> Void) async throws {
        guard let copier = self.copier else { return try await body() }
        try await copier.using(workspace, body)
    }

    /// Throws a `CommandError` when the sandbox may not be used now; nothing has begun then.
    private func transfer(_ request: FilesRequest) throws -> AuditedTransfer {
        if let reason = self.agents.gate?.pauseReason {
            throw CommandError(.unavailable, "programs may not run on this node now: \(Printable.text(reason))")
        }
        let profile = try DefinitionName(Self.profile)
        guard self.policy.bundle.profiles[profile] != nil else {
            throw CommandError(.unavailable, "there is no sandbox profile '\(profile.name)' for tar to run in")
        }
        let (logger, name) = (self.logger, request.workspace.name)
        return AuditedTransfer(
            try WorkspaceTransfer(
                of: "\(self.agents.workspaces)/\(request.workspace)", self.context, profile: profile,
                tier: self.agents.plan.tier, limits: self.limits),
            of: request.workspace, below: self.agents.workspaces, store: self.store, actor: request.actor,
            rule: request.rule, node: self.node,
            note: { note in
                logger.notice(
                    "a transfer of files has a note", metadata: ["workspace.id": "\(name)", "reason": "\(note)"])
            },
            more: { row in
                row.requestID = request.requestID
                row.address = request.address
            })
    }

    /// Throws what the body throws, the errors of this program as problems.
    private func withProblems<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as CommandError {
            throw Self.problem(error)
        } catch let error as TransferTimeout {
            throw Problem(.timeout, error.message)
        } catch let error as HostFileError {
            throw Problem(.unavailable, error.description)
        } catch let error as AgentError where error.code == .hostUnavailable {
            throw Problem(.unavailable, error.message)
        }
    }

    private static func problem(_ error: CommandError) -> Problem {
        switch error.status {
        case .usage, .data, .jobFailed: Problem(.invalid, error.message, rule: "archive")
        case .notPermitted: Problem(.forbidden, error.message, rule: "quarantine")
        case .unavailable, .configuration: Problem(.unavailable, error.message)
        case .gaveUp, .output: Problem(.failed, error.message)
        }
    }
}
