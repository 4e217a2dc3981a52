import ArgumentParser
import Audit
import Domain
import Foundation
import Jobs

/// The options of every command that works in one workspace.
struct WorkspaceScope: ParsableArguments {
    @OptionGroup var common: CommonOptions
    @Option(help: "The workspace (also ORCHESTRA_WORKSPACE).") var workspace: String?

    /// The configuration with the workspace in it.
    func context() throws -> Context {
        try self.common.context(extra: self.workspace.map { ["workspace": $0] } ?? [:])
    }

    /// Runs the body with a session of the queue; throws as `QueueSession.with`.
    func withSession(_ body: @escaping @Sendable (QueueSession, WorkspaceID) async throws -> Void) async throws {
        let context = try self.context()
        let workspace = try context.workspace()
        try await QueueSession.with(context) { try await body($0, workspace) }
    }
}

/// How many of a list a command shows.
struct ListLimit: ParsableArguments {
    @Option(help: "At most this many, from 1 to 10000.") var limit = 20

    func validate() throws {
        guard (1...10_000).contains(self.limit) else {
            throw ValidationError("--limit \(self.limit): expected 1 to 10000")
        }
    }
}

extension QueueSession {
    /// What the person at this command line did to a job, as a row of the audit trail.
    func event(
        _ kind: AuditEvent.Kind, of id: JobID, in workspace: WorkspaceID, status: String
    ) async throws -> [UInt8] {
        AuditEvent(
            kind: kind, workspace: workspace, actor: "cli:\(NSUserName())", action: "", jobID: id, status: status,
            rule: "operator", duration: .zero, errorReason: "", paramsDigest: [], node: "",
            time: try await self.queue.time()
        ).encoded
    }
}
