import Domain
import ShimProtocol
import Testing

@testable import Sandboxing

@Suite("Control groups of a launch")
struct ControlGroupLimitsTests {
    private static func limits(
        _ controllers: Set<ControlGroups.Controller>, isUnified: Bool, percent: Int? = nil
    ) throws -> [String: String] {
        let profile = SandboxProfile(
            name: try .init("x"), summary: "x", lowestTier: .limited, processLimit: 10, openFileLimit: 1,
            fileSizeLimit: 1, memoryLimit: 1, treeMemoryLimit: 1 << 20, processorPercent: percent, temporarySize: 1,
            homeSize: 1, environment: [:], readOnlyPaths: [])
        let groups = ControlGroups(hierarchies: [
            ControlGroups.Hierarchy(parent: "/g", controllers: controllers, isUnified: isUnified)
        ]).groups(for: profile)
        let limits = groups.first?.limits ?? []
        return Dictionary(uniqueKeysWithValues: limits.map { ($0.file, $0.value) })
    }

    @Test("version 2 limits memory and swap of the tree")
    func memory() throws {
        #expect(try Self.limits([.memory], isUnified: true) == ["memory.max": "1048576", "memory.swap.max": "0"])
    }

    @Test("version 1 limits memory and memory with swap of the tree")
    func memoryOfVersionOne() throws {
        #expect(
            try Self.limits([.memory], isUnified: false)
                == ["memory.limit_in_bytes": "1048576", "memory.memsw.limit_in_bytes": "1048576"])
    }

    @Test("the launcher, its helpers and the guard do not use up the program's processes")
    func processes() throws { #expect(try Self.limits([.processes], isUnified: true) == ["pids.max": "14"]) }

    @Test("a share of the processors is a quota of the kernel's period, in either version")
    func processor() throws {
        #expect(try Self.limits([.processor], isUnified: true, percent: 50) == ["cpu.max": "50000 100000"])
        #expect(
            try Self.limits([.processor], isUnified: false, percent: 150)
                == ["cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"])
    }

    @Test("no limit is set that a hierarchy cannot set")
    func none() throws { #expect(try Self.limits([], isUnified: true, percent: 50).isEmpty) }

    @Test("a whole tree can be limited only with both memory and processes")
    func canLimit() {
        func groups(_ controllers: Set<ControlGroups.Controller>...) -> ControlGroups {
            ControlGroups(
                hierarchies: controllers.map {
                    ControlGroups.Hierarchy(parent: "/g", controllers: $0, isUnified: false)
                })
        }
        #expect(groups([.memory], [.processes]).canLimit && groups([.memory, .processes]).canLimit)
        #expect(!groups([.memory]).canLimit && !groups([.processes], [.processor]).canLimit && !groups().canLimit)
    }
}
