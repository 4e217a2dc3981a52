import Domain
import Foundation
import Logging
import NIOPosix
import Sandboxing
import ShimProtocol
import TestSupport
import Testing

@testable import Agents

/// Agents whose files cannot be read, or say all that there is to know: no program is started by any of these tests.
@Suite("Agent")
struct AgentTests {
    private static let id = "0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11"

    private static func configuration(_ root: String) -> AgentConfiguration {
        let host = SandboxHost(
            launcher: nil, shim: "/nonexistent/shim", program: { _ in nil },
            controlGroups: ControlGroups(hierarchies: []))
        return AgentConfiguration(
            root: root, workspaces: root + "/w", shim: "/nonexistent/shim", tmux: "/nonexistent/tmux",
            plan: SandboxPlan(host: host, tier: .none, slots: UserSlots(path: root + "/users")),
            orphanGrace: .seconds(5), launchTimeout: .zero, stopTimeout: .seconds(5),
            secrets: SecretStore(root: root + "/secrets"))
    }

    private static func agent(_ root: String, isRecovered: Bool, isRepeatable: Bool = true) throws -> Agent {
        let definition = AgentDefinition(
            name: try DefinitionName("tested"), summary: "x", argv: ["/bin/true"], environment: [:],
            sandbox: try DefinitionName("default"), closing: [], restartIntensity: 0, restartPeriod: .seconds(1))
        return Agent(
            Agent.Assignment(
                directory: AgentDirectory(root: root, id: try JobID(Self.id)), definition: definition,
                profile: .measured, workspacePath: root + "/w", prompt: "", isRecovered: isRecovered, epoch: 1,
                isRepeatable: isRepeatable),
            configuration: Self.configuration(root), group: .singleton,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), token: { [1] }, report: { _ in })
    }

    @Test("a take-back whose directory cannot be read starts nothing and does not count as never launched")
    func unreadableTakeBack() async throws {
        try await withDirectory { root in
            let path = "\(root)/\(Self.id)"
            try HostFiles.replace(path, with: [1])
            let agent = try Self.agent(root, isRecovered: true)
            let error = await #expect(throws: AgentError.self) { try await agent.run(ready: {}) }
            #expect(error?.code == .notGone)
            #expect(await agent.mayLive)
            #expect(try HostFiles.contents(of: path) == [1])
        }
    }

    @Test("a new job whose directory cannot be read is the node's fault, not the job's")
    func unreadableStart() async throws {
        try await withDirectory { root in
            try HostFiles.replace("\(root)/\(Self.id)", with: [1])
            let agent = try Self.agent(root, isRecovered: false)
            let error = await #expect(throws: AgentError.self) { try await agent.run(ready: {}) }
            #expect(error?.code == .hostUnavailable)
        }
    }

    @Test("an unreadable exit record of the last launch is no proof of its end")
    func unreadableRecord() async throws {
        try await withDirectory { root in
            let directory = AgentDirectory(root: root, id: try JobID(Self.id))
            try directory.make(generation: 1)
            // A directory in the record's place can be opened and not be read.
            try HostFiles.makeDirectory("\(directory.generationPath(1))/\(ShimFiles.exit)")
            let agent = try Self.agent(root, isRecovered: false)
            let error = await #expect(throws: AgentError.self) { try await agent.run(ready: {}) }
            #expect(error?.code == .notGone)
            #expect(try directory.generations == [1])
        }
    }

    @Test("a record that nobody has read is the result of a recovered delivery")
    func recordOnDisk() async throws {
        try await withDirectory { root in
            let directory = AgentDirectory(root: root, id: try JobID(Self.id))
            try directory.make(generation: 1)
            let record = ExitRecord(endedBy: .itself, code: 0, signal: 0, logLength: 7)
            try directory.write(ShimFiles.exit, record.encoded, generation: 1)
            let agent = try Self.agent(root, isRecovered: true)
            #expect(try await agent.run(ready: {}) == record)
            #expect(await agent.currentGeneration == 1)
        }
    }

    @Test("a failure on disk is the failure of a recovered delivery, and is not run again by it")
    func failureOnDisk() async throws {
        try await withDirectory { root in
            let directory = AgentDirectory(root: root, id: try JobID(Self.id))
            try directory.make(generation: 1)
            let record = ExitRecord(endedBy: .itself, code: 3, signal: 0)
            try directory.write(ShimFiles.exit, record.encoded, generation: 1)
            let agent = try Self.agent(root, isRecovered: true)
            let error = await #expect(throws: AgentError.self) { try await agent.run(ready: {}) }
            #expect(error?.code == .failed && error?.message.contains("status 3") == true)
            #expect(try directory.generations == [1])
        }
    }

    @Test("a launch that was ended from outside and must not be repeated is not launched again")
    func unrepeatable() async throws {
        try await withDirectory { root in
            let directory = AgentDirectory(root: root, id: try JobID(Self.id))
            try directory.make(generation: 1)
            let record = ExitRecord(endedBy: .orphaned, code: 137, signal: 9)
            try directory.write(ShimFiles.exit, record.encoded, generation: 1)
            let agent = try Self.agent(root, isRecovered: true, isRepeatable: false)
            let error = await #expect(throws: AgentError.self) { try await agent.run(ready: {}) }
            #expect(error?.code == .crashed)
            #expect(try directory.generations == [1])
        }
    }

    @Test("a failed launch is the node's fault or the launch's, as its record says")
    func failures() throws {
        func code(_ endedBy: ExitRecord.EndedBy, signal: Int32 = 0) throws -> AgentError.Code {
            let definition = AgentDefinition(
                name: try DefinitionName("tested"), summary: "x", argv: ["/bin/true"], environment: [:],
                sandbox: try DefinitionName("default"), closing: [], restartIntensity: 0, restartPeriod: .seconds(1))
            let assignment = Agent.Assignment(
                directory: AgentDirectory(root: "/x", id: try JobID(Self.id)), definition: definition,
                profile: .measured, workspacePath: "/x", prompt: "", isRecovered: false, epoch: 1)
            return Agent.failure(ExitRecord(endedBy: endedBy, code: 1, signal: signal), of: assignment).code
        }
        #expect(try code(.hostFailed) == .hostUnavailable)
        #expect(try code(.launchFailed) == .launchFailed)
        #expect(try code(.itself) == .failed)
        #expect(try code(.itself, signal: 9) == .crashed)
        #expect(try code(.orphaned) == .crashed)
    }
}
