internal import CLinux
internal import Foundation
internal import Sandboxing

/// Finds out whether this node can launch programs: for readiness, after a launch failed with
/// `AgentError.hostUnavailable`.
package struct LaunchCheck: Sendable {
    private let configuration: AgentConfiguration
    private let processID: Int32

    /// Descriptors that one launch takes in this process, at most.
    private static let descriptors = 16

    /// `processID` is this process.
    package init(configuration: AgentConfiguration, processID: Int32) {
        var configuration = configuration
        configuration.gate = nil
        self.configuration = configuration
        self.processID = processID
    }

    /// Why nothing can be launched now, nil when a launch is possible: writes and syncs a file in the agents' and in the
    /// workspaces' directory, opens as many descriptors as a launch needs, and runs the guard in a real sandbox. Leaves
    /// an empty workspace of its own behind. Throws only `CancellationError`.
    package func problem() async throws -> String? {
        let (root, workspaces) = (self.configuration.root, self.configuration.workspaces)
        let workspace = root + "/launch-check"
        do {
            try await self.configuration.files.run {
                for directory in [root, workspaces] { try Self.write(in: directory) }
                try Self.openDescriptors()
                try HostFiles.makeDirectory(workspace)
            }
            let report = try await CommandRunner(configuration: self.configuration, processID: self.processID)
                .report(profile: .measured, workspacePath: workspace)
            guard !report.holds(self.configuration.plan.tier) else { return nil }
            let broken = report.layers.filter { !$0.holds }.map(\.name)
            return "layers of the sandbox do not hold: \(broken.joined(separator: ", "))"
        } catch {
            try Task.checkCancellation()
            return "\(error)"
        }
    }

    /// Throws `HostFileError` when a file cannot be made, written and synced in a directory.
    static func write(in directory: String) throws {
        try HostFiles.makeDirectory(directory)
        let path = "\(directory)/.launch-check"
        try HostFiles.replace(path, with: Array("written\n".utf8), isSynced: true)
        guard unsafe unlink(path) == 0 else { throw HostFileError("removed", path, code: errno) }
    }

    /// Throws `HostFileError` when this process cannot open as many descriptors as a launch needs.
    static func openDescriptors() throws(HostFileError) {
        let first = orc_memfd_with(nil, 0)
        guard first >= 0 else { throw HostFileError("opened", "a file in memory", code: -first) }
        var opened = [first]
        defer { for descriptor in opened { close(descriptor) } }
        for _ in 1..<self.descriptors {
            let descriptor = fcntl(first, F_DUPFD_CLOEXEC, 0)
            guard descriptor >= 0 else { throw HostFileError("opened", "a file in memory", code: errno) }
            opened.append(descriptor)
        }
    }
}
