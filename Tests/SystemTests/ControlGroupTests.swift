import Agents
import Domain
import Foundation
import Sandboxing
import ShimProtocol
import TestSupport
import Testing

/// Limits of whole trees, and their end as one, in the control groups that this machine's set-up gave.
@Suite(
    "Control groups of sandboxes", .serialized,
    .enabled(if: !isRoot && TestSandbox.groups.canLimit, "no control groups were given to this user; see ops/lib"))
struct ControlGroupTests {
    private static func profile(memory: Int = 1 << 30, processes: Int = 64) -> SandboxProfile {
        SandboxProfile(
            name: .measured, summary: "x", lowestTier: .limited, processLimit: processes, openFileLimit: 256,
            fileSizeLimit: 1 << 30, memoryLimit: 1 << 30, treeMemoryLimit: memory, processorPercent: 50,
            temporarySize: 1 << 20, homeSize: 1 << 20, environment: [:], readOnlyPaths: [])
    }

    private static func run(
        _ script: String, _ profile: SandboxProfile, tier: SandboxTier = .limited, in directory: String
    ) async throws -> ExitRecord {
        let work = directory + "/w"
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        let plan = TestSandbox.plan(tier, directory: directory)
        let runner = CommandRunner(
            configuration: AgentConfiguration(
                root: directory + "/a", workspaces: directory, shim: buildDirectory + "/orchestra-shim",
                tmux: "/usr/bin/tmux", plan: plan, orphanGrace: .seconds(5),
                secrets: SecretStore(root: directory + "/s")), processID: getpid())
        return try await runner.run(
            try plan.launch(
                ["/bin/bash", "-c", script], profile: profile, workspace: work,
                connection: .command(input: [], outputLimit: 65_536, ownerPID: getpid())))
    }

    /// The groups of living shims, and of dead ones.
    private static func leaves() -> Set<String> {
        Set(
            TestSandbox.groups.hierarchies.flatMap { hierarchy in
                ((try? FileManager.default.contentsOfDirectory(atPath: hierarchy.parent)) ?? [])
                    .filter { $0.hasPrefix(ControlGroupNames.prefix) }.map { "\(hierarchy.parent)/\($0)" }
            })
    }

    @Test("processes that each stay below their limit of memory do not get more than the tree's together")
    func memory() async throws {
        try await withDirectory { directory in
            // Each keeps 40 MiB, as one line without an end, and says so once it has it all.
            let script = """
                for i in 1 2 3 4 5; do
                    (x=$(head -c 40M /dev/zero | tr '\\0' x); [ ${#x} -gt 40000000 ] && echo has; sleep 1) &
                done; wait; true
                """
            let enough = try await Self.run(script, Self.profile(memory: 1 << 30), in: directory)
            #expect(String(decoding: enough.output, as: UTF8.self).split(separator: "\n").count == 5)
            let little = try await Self.run(script, Self.profile(memory: 128 << 20), in: directory)
            #expect(String(decoding: little.output, as: UTF8.self).split(separator: "\n").count < 5)
            #expect(enough.memoryKills == 0 && little.memoryKills > 0 && little.memoryWatch == .counted)
            #expect(little.summary.contains("memory limit"), "\(little.summary)")
        }
    }

    @Test("a tree that forks without end stays within its limit, is ended whole, and leaves no group behind")
    func processes() async throws {
        try await withDirectory { directory in
            let marker = "598.7\(Int.random(in: 1000...9999))"
            // Unlike bash, sh gives up at the first process that it cannot have.
            let script = "exec sh -c 'i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i; sleep \(marker) & done'"
            let record = try await Self.run(script, Self.profile(processes: 32), in: directory)
            #expect(!record.isSuccess)
            let last = String(decoding: record.output, as: UTF8.self).split(separator: "\n").last
            let count = try #require(last.flatMap { Int($0) })
            #expect((16...40).contains(count), "\(count) processes")
            #expect(ProcessTable().matching(marker).isEmpty)
        }
    }

    @Test("at tier 1, where a killed shim leaves its tree, the next start of a node ends it")
    func sweep() async throws {
        try await withDirectory { directory in
            let work = directory + "/w"
            try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
            let marker = "599.8\(Int.random(in: 1000...9999))"
            let spec = try TestSandbox.plan(.landlock, directory: directory).launch(
                // In a session of its own, as what wants to get away is.
                ["/bin/bash", "-c", "setsid sleep \(marker) & sleep \(marker)"],
                profile: SandboxProfile(
                    name: .measured, summary: "x", lowestTier: .landlock, processLimit: 8192, openFileLimit: 256,
                    fileSizeLimit: 1 << 30, memoryLimit: 1 << 30, treeMemoryLimit: 1 << 30, temporarySize: 1 << 20,
                    homeSize: 1 << 20, environment: [:], readOnlyPaths: []),
                workspace: work, connection: .command(input: [], outputLimit: 1024, ownerPID: getpid()))
            try Data(spec.encoded).write(to: URL(fileURLWithPath: directory + "/spec"))
            let shim = ManagedProcess(
                "/bin/sh", ["-c", "exec \(buildDirectory)/orchestra-shim command < \(directory)/spec"],
                log: directory + "/shim.log")
            try await shim.start()
            let processID = await shim.processID
            try await eventually("it runs") { ProcessTable().matching(marker).count >= 2 }
            let made = Self.leaves().filter { $0.hasSuffix("/\(ControlGroupNames.prefix)\(processID)") }
            #expect(made.count == TestSandbox.groups.hierarchies.count)
            await shim.kill9()
            // Nodes of other tests that start meanwhile may be first.
            try await eventually("what it left is gone, with its groups") {
                _ = try TestSandbox.groups.sweep()
                return ProcessTable().matching(marker).isEmpty && made.isDisjoint(with: Self.leaves())
            }
        }
    }
}
