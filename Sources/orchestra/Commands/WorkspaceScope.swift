import ArgumentParser
import Domain

/// The options of every command that works in one workspace.
struct WorkspaceScope: ParsableArguments {
    @OptionGroup var common: CommonOptions
    @Option(help: "The workspace (also ORCHESTRA_WORKSPACE).") var workspace: String?

    /// The configuration of a client command, with the workspace; throws as `CommonOptions.context`.
    func context() throws -> Context {
        try self.common.context(extra: self.workspace.map { ["workspace": $0] } ?? [:])
    }

    /// Runs the body with a session of the queue; throws as `QueueSession.with`.
    func withSession(_ body: @escaping @Sendable (QueueSession, WorkspaceID) async throws -> Void) async throws {
        try await self.withSession(try self.context(), body)
    }

    /// Runs the body with a session in a configuration that was loaded before.
    func withSession(
        _ context: Context, _ body: @escaping @Sendable (QueueSession, WorkspaceID) async throws -> Void
    ) async throws {
        let workspace = try context.workspace()
        try await QueueSession.with(context) { try await body($0, workspace) }
    }
}
