import Domain
import Foundation
import Sandboxing
import TestSupport
import Testing

@testable import Agents

@Suite("PassedEscapeTest")
struct PassedEscapeTestTests {
    @Test("a test is remembered as long as nothing has changed")
    func remembered() async throws {
        try await withDirectory { directory in
            let passed = PassedEscapeTest(circumstances: ["boot 1", "kernel 2"])
            #expect(try !passed.isRemembered(in: directory + "/f"))
            try passed.remember(in: directory + "/f")
            #expect(try passed.isRemembered(in: directory + "/f"))
        }
    }

    @Test(
        "any change makes the node wait again",
        arguments: [[], ["boot 1"], ["boot 1", "kernel 3"], ["kernel 2", "boot 1"], ["boot 1", "kernel 2", "x"]])
    func changed(circumstances: [String]) async throws {
        try await withDirectory { directory in
            try PassedEscapeTest(circumstances: ["boot 1", "kernel 2"]).remember(in: directory + "/f")
            #expect(try !PassedEscapeTest(circumstances: circumstances).isRemembered(in: directory + "/f"))
        }
    }

    @Test("what a profile lets out, the directory of tools and the mappers of users are among the circumstances")
    func read() async throws {
        try await withDirectory { directory in
            for name in ["shim", "newuidmap"] {
                try HostFiles.replace("\(directory)/\(name)", with: Array("x".utf8))
            }
            func circumstances(
                egress: [String] = [], tools: String? = nil, change: (String) throws -> Void = { _ in }
            ) throws -> [String] {
                try change(directory + "/newuidmap")
                let profile = SandboxProfile(
                    name: try DefinitionName("p"), summary: "x", lowestTier: .namespaces, processLimit: 1,
                    openFileLimit: 1, fileSizeLimit: 1, memoryLimit: 1, treeMemoryLimit: 1, temporarySize: 1,
                    homeSize: 1, environment: [:], readOnlyPaths: [], egress: try egress.map { try DefinitionName($0) })
                let host = SandboxHost(
                    launcher: nil, shim: directory + "/shim",
                    program: { $0.hasPrefix("new") ? directory + "/newuidmap" : nil },
                    controlGroups: ControlGroups(hierarchies: []), tools: tools)
                let configuration = AgentConfiguration(
                    root: directory + "/a", workspaces: directory + "/w", shim: directory + "/shim",
                    tmux: directory + "/shim",
                    plan: SandboxPlan(host: host, tier: .namespaces, slots: UserSlots(path: directory + "/users")),
                    orphanGrace: .seconds(10), secrets: SecretStore(root: directory + "/s"))
                return try PassedEscapeTest(configuration: configuration, profiles: [profile]).circumstances
            }
            let first = try circumstances()
            #expect(try circumstances() == first)
            #expect(try circumstances(egress: ["web"]) != first)
            #expect(try circumstances(tools: "/opt/tools") != first)
            #expect(first.contains { $0.hasPrefix("setting kernel/yama/ptrace_scope") })
            guard first.contains(where: { $0.contains("newuidmap") }) else { return }  // no users to give away here
            #expect(try circumstances { try HostFiles.replace($0, with: Array("changed".utf8)) } != first)
        }
    }

    @Test("a line break inside one circumstance cannot stand for two")
    func lineBreaks() async throws {
        try await withDirectory { directory in
            try PassedEscapeTest(circumstances: ["a\nb"]).remember(in: directory + "/f")
            #expect(try !PassedEscapeTest(circumstances: ["a", "b"]).isRemembered(in: directory + "/f"))
        }
    }

    @Test("a file that was cut off is no test, one that cannot be read is an error")
    func cutOff() async throws {
        try await withDirectory { directory in
            let passed = PassedEscapeTest(circumstances: ["a"])
            try HostFiles.replace(directory + "/f", with: Array("a\n".utf8))
            #expect(try !passed.isRemembered(in: directory + "/f"))
            #expect(throws: HostFileError.self) { try passed.isRemembered(in: directory) }
        }
    }

    @Test("a forgotten test is not remembered, and forgetting twice is no error")
    func forgotten() async throws {
        try await withDirectory { directory in
            let passed = PassedEscapeTest(circumstances: ["a"])
            try passed.remember(in: directory + "/f")
            try PassedEscapeTest.forget(directory + "/f")
            try PassedEscapeTest.forget(directory + "/f")
            #expect(try !passed.isRemembered(in: directory + "/f"))
        }
    }
}
