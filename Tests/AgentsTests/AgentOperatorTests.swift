import Domain
import NIOPosix
import TestSupport
import Testing

@testable import Agents

@Suite("AgentOperator")
struct AgentOperatorTests {
    @Test("it reads an agent's files on the threads for blocking work, and on no other")
    func pool() async throws {
        try await withDirectory { root in
            let directory = AgentDirectory(root: root, id: try JobID("0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11"))
            func agent(_ threads: NIOThreadPool) -> AgentOperator {
                AgentOperator(directory: directory, generation: 1, group: .singleton, files: FileSystemPool(threads))
            }
            #expect(try await agent(.singleton).events(after: 0, wait: .zero).isEmpty)
            // These have not been started: whatever needs them fails.
            let stopped = agent(NIOThreadPool(numberOfThreads: 1))
            func isRefused(_ body: () async throws -> Void) async -> Bool {
                do {
                    try await body()
                    return false
                } catch {
                    return !(error is AgentError)
                }
            }
            #expect(await isRefused { _ = try await stopped.events(after: 0, wait: .zero) })
            #expect(await isRefused { _ = try await stopped.output(from: 0) { _, _ in } })
            #expect(await isRefused { try await stopped.resize(columns: 80, rows: 24) })
            #expect(await isRefused { _ = try await stopped.freeze() })
        }
    }
}
