import Domain
import Testing

@testable import Agents

@Suite("WorkingDirectory")
struct WorkingDirectoryTests {
    private static let id = "0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11"

    @Test("an agent that shares the workspace has no path below it")
    func shared() throws { #expect(WorkingDirectory.path(.shared, of: try JobID(Self.id)) == nil) }

    @Test("an agent of its own directory or work tree has one that is named by its id")
    func own() throws {
        let id = try JobID(Self.id)
        #expect(WorkingDirectory.path(.own, of: id) == "agents/\(Self.id)")
        #expect(WorkingDirectory.path(.worktree(repository: "src"), of: id) == "agents/\(Self.id)")
    }
}
