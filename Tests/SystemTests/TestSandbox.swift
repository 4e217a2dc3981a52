import Agents
import Foundation
import Sandboxing
import TestSupport

/// The real sandbox of the build, for tests.
enum TestSandbox {
    static let groups = ControlGroups.delegated()

    static func plan(_ tier: SandboxTier, directory: String) -> SandboxPlan {
        SandboxPlan(
            host: SandboxHost(
                launcher: "/usr/bin/bwrap", shim: buildDirectory + "/orchestra-shim",
                program: { isInstalled($0) ? "/usr/bin/\($0)" : nil }, controlGroups: Self.groups),
            tier: tier, slots: UserSlots(path: directory + "/users"))
    }
}
