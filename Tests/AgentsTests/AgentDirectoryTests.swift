import CLinux
import Domain
import Foundation
import Sandboxing
import ShimProtocol
import TestSupport
import Testing

@testable import Agents

@Suite("AgentDirectory")
struct AgentDirectoryTests {
    private static let id = "0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11"

    private static func directory(_ root: String) throws -> AgentDirectory {
        AgentDirectory(root: root, id: try JobID(Self.id))
    }

    /// An agent's directory that exists and cannot be read, for any user.
    private static func unreadable(_ root: String) throws -> AgentDirectory {
        let directory = try Self.directory(root)
        try HostFiles.replace(directory.path, with: [1])
        return directory
    }

    @Test("an agent that was never launched has no generation")
    func absent() async throws {
        try await withDirectory { root in
            let directory = try Self.directory(root)
            #expect(try directory.generations == [])
            #expect(try !directory.isAlive(1))
            #expect(try directory.exitRecord(1) == nil && directory.launchSpec(1) == nil)
            #expect(try directory.condition.state == .unknown)
        }
    }

    @Test("a directory that cannot be read is never an agent that never was")
    func unreadable() async throws {
        try await withDirectory { root in
            let directory = try Self.unreadable(root)
            #expect(throws: HostFileError.self) { try directory.generations }
            #expect(throws: HostFileError.self) { try directory.isAlive(1) }
            #expect(throws: HostFileError.self) { try directory.exitRecord(1) }
            #expect(throws: HostFileError.self) { try directory.launchSpec(1) }
            #expect(throws: HostFileError.self) { try directory.latestView(1) }
            #expect(throws: HostFileError.self) { try directory.logTail(1, limit: 10) }
            #expect(throws: HostFileError.self) { try directory.condition }
        }
    }

    @Test("generations are numbers, oldest first; other names are none")
    func generations() async throws {
        try await withDirectory { root in
            let directory = try Self.directory(root)
            for name in ["10", "2", "x", "state.new"] {
                try HostFiles.makeDirectory("\(directory.path)/\(name)")
            }
            #expect(try directory.generations == [2, 10])
        }
    }

    @Test("a generation is made once: a launch of another owner is not overwritten")
    func exclusive() async throws {
        try await withDirectory { root in
            let directory = try Self.directory(root)
            try directory.make(generation: 1)
            let error = #expect(throws: AgentError.self) { try directory.make(generation: 1) }
            #expect(error?.code == .notGone)
        }
    }

    @Test("a socket without a listener is not alive, one with a listener is")
    func alive() async throws {
        try await withDirectory { root in
            let directory = try Self.directory(root)
            try directory.make(generation: 1)
            let listener = unsafe orc_listen_unix(directory.socketPath(1))
            #expect(listener >= 0)
            #expect(try directory.isAlive(1))
            close(listener)
            #expect(try !directory.isAlive(1))
        }
    }

    @Test("a path that no socket can have is an error, not an agent that is gone")
    func longPath() throws {
        let directory = AgentDirectory(
            root: "/" + String(repeating: "x", count: 200), id: try JobID(Self.id))
        #expect(throws: HostFileError.self) { try directory.isAlive(1) }
    }

    @Test("a malformed exit record proves nothing, a malformed launch file is an error")
    func malformed() async throws {
        try await withDirectory { root in
            let directory = try Self.directory(root)
            try directory.make(generation: 1)
            try directory.write(ShimFiles.exit, [1, 2, 3], generation: 1)
            try directory.write(ShimFiles.launch, [1, 2, 3], generation: 1)
            #expect(try directory.exitRecord(1) == nil)
            #expect(throws: AgentError.self) { try directory.launchSpec(1) }
        }
    }

    @Test("an exit record decides what the agent does")
    func ended() async throws {
        try await withDirectory { root in
            let directory = try Self.directory(root)
            try directory.make(generation: 1)
            let record = ExitRecord(endedBy: .itself, code: 3, signal: 0)
            try directory.write(ShimFiles.exit, record.encoded, generation: 1)
            try directory.note(AgentStatus(state: .busy, evidence: "noted"))
            #expect(try directory.condition.state == .crashed)
            #expect(try directory.condition.evidence.contains("status 3"))
            #expect(try directory.endedAt != nil)
        }
    }

    @Test("a quarantined agent stays that, whatever its last launch left")
    func quarantined() async throws {
        try await withDirectory { root in
            let directory = try Self.directory(root)
            try directory.make(generation: 1)
            let record = ExitRecord(endedBy: .itself, code: 0, signal: 0)
            try directory.write(ShimFiles.exit, record.encoded, generation: 1)
            try directory.note(AgentStatus(state: .quarantined, evidence: "too often"))
            #expect(try directory.condition == AgentStatus(state: .quarantined, evidence: "too often"))
        }
    }

    @Test("a log in parts is one log, and what is not kept is skipped")
    func log() async throws {
        try await withDirectory { root in
            let directory = try Self.directory(root)
            try directory.make(generation: 1)
            try directory.write(ShimFiles.log(from: 100), Array("abc".utf8), generation: 1)
            try directory.write(ShimFiles.log(from: 103), Array("defg".utf8), generation: 1)
            #expect(try directory.logLength(1) == 107)
            #expect(try directory.wholeLog(1)?.start == 100)
            #expect(try directory.wholeLog(1)?.bytes == Array("abcdefg".utf8))
            #expect(try directory.logTail(1, limit: 5) == Array("cdefg".utf8))
            let part = try directory.log(1, from: 0, limit: 2)
            #expect(part.place == 100 && part.bytes == Array("ab".utf8))
        }
    }

    @Test("events after a number are given; the line that is being written is left for the next time")
    func events() async throws {
        try await withDirectory { root in
            let directory = try Self.directory(root)
            try directory.make(generation: 1)
            let text = #"{"n":1,"ms":1,"event":{}}"# + "\n" + #"{"n":2,"ms":2,"event":{}}"# + "\n" + #"{"n":3,"#
            try directory.write(ShimFiles.events, Array(text.utf8), generation: 1)
            #expect(try directory.events(1, after: 1).compactMap { $0["n"]?.integer } == [2])
        }
    }

    @Test("agents that ended before the limit are removed, those that run or are kept are not")
    func removeEnded() async throws {
        try await withDirectory { root in
            func agent(_ last: String, ended: Bool) throws -> AgentDirectory {
                let directory = AgentDirectory(
                    root: root, id: try JobID("0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b" + last))
                try directory.make(generation: 1)
                if ended {
                    let record = ExitRecord(endedBy: .itself, code: 0, signal: 0)
                    try directory.write(ShimFiles.exit, record.encoded, generation: 1)
                }
                return directory
            }
            let (old, kept, running) = (
                try agent("01", ended: true), try agent("02", ended: true), try agent("03", ended: false)
            )
            let result = try AgentDirectory.removeEnded(root: root, before: .distantFuture, except: [kept.id])
            #expect(result.removed == 1 && result.problems.isEmpty)
            #expect(try old.generations == [] && kept.generations == [1] && running.generations == [1])
        }
    }

    @Test("one agent that cannot be read does not keep the others from being removed")
    func removeOthers() async throws {
        try await withDirectory { root in
            _ = try Self.unreadable(root)
            let old = AgentDirectory(root: root, id: try JobID("0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b12"))
            try old.make(generation: 1)
            try old.write(
                ShimFiles.exit, ExitRecord(endedBy: .itself, code: 0, signal: 0).encoded, generation: 1)
            let result = try AgentDirectory.removeEnded(root: root, before: .distantFuture, except: [])
            #expect(result.removed == 1 && result.problems.count == 1)
        }
    }

    @Test("a root that does not exist has no agents; one that cannot be listed is an error")
    func all() async throws {
        try await withDirectory { root in
            #expect(try AgentDirectory.all(root: root + "/none").isEmpty)
            try HostFiles.replace(root + "/file", with: [1])
            #expect(throws: HostFileError.self) { try AgentDirectory.all(root: root + "/file") }
        }
    }
}
