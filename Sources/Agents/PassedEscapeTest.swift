internal import CLinux
internal import Domain
internal import Foundation
package import Sandboxing

/// An escape test that was passed, kept in a file together with all that its result depends on. The next start of a node
/// need not wait for the test while none of that has changed.
package struct PassedEscapeTest: Hashable, Sendable {
    /// What the result depends on, a line each: boot, kernel, programs, host, policies, attempts.
    package let circumstances: [String]

    /// Reads the present circumstances. Throws `HostFileError` when one of them cannot be read. Blocks.
    package init(configuration: AgentConfiguration, profiles: [SandboxProfile]) throws {
        let host = configuration.plan.host
        var lines = [
            "boot \(try Self.text("/proc/sys/kernel/random/boot_id"))", "kernel \(try Self.text("/proc/version"))",
            "tier \(configuration.plan.tier.rawValue)", "landlock \(host.landlockVersion)",
            "configuration \(host.configuration)", "users \(host.subordinates.map { "\($0)" } ?? "none")",
            "groups \(host.controlGroups.hierarchies.map { "\($0)" }.sorted())", "attempts \(EscapeAttempt.all.count)",
            "paths \(host.hostPaths.sorted())", "tools \(host.tools ?? "none")",
        ]
        let programs = [
            "/proc/self/exe", host.shim, host.launcher, configuration.tmux, host.subordinates?.userMapper,
            host.subordinates?.groupMapper,
        ]
        for program in programs.compactMap({ $0 }) { lines.append("program \(try Self.identity(of: program))") }
        for name in Self.kernelSettings {
            let value = try HostFiles.contents(of: "/proc/sys/" + name, limit: 100) ?? []
            lines.append("setting \(name) \(String(decoding: value, as: UTF8.self))")
        }
        lines += profiles.sorted { $0.name.name < $1.name.name }.map { "profile \($0.circumstances)" }
        lines += EscapeAttempt.all.map { "attempt \($0.name): \($0.script)" }
        self.init(circumstances: lines)
    }

    /// What of the kernel's settings decides about user namespaces and processes of others; where one does not exist it is
    /// empty.
    private static let kernelSettings = [
        "kernel/unprivileged_userns_clone", "kernel/apparmor_restrict_unprivileged_userns",
        "kernel/apparmor_restrict_unprivileged_unconfined", "kernel/yama/ptrace_scope", "kernel/kptr_restrict",
        "kernel/dmesg_restrict", "kernel/unprivileged_bpf_disabled", "fs/protected_symlinks",
        "user/max_user_namespaces", "user/max_net_namespaces",
    ]

    init(circumstances: [String]) {
        // Each is one line of the file.
        self.circumstances = circumstances.map { $0.replacingOccurrences(of: "\n", with: "\\n") }
    }

    /// True when the file holds a test that was passed under these circumstances. A file that does not exist, or that a
    /// crash cut off, is no test. Throws `HostFileError` when the file cannot be read. Blocks.
    package func isRemembered(in path: String) throws -> Bool {
        guard let bytes = try HostFiles.contents(of: path) else { return false }
        return bytes == self.encoded
    }

    /// Writes the file; what was in it is replaced. Throws `HostFileError`. Blocks.
    package func remember(in path: String) throws {
        try HostFiles.replace(path, with: self.encoded, isSynced: true)
    }

    /// Removes the file, so that the next start waits for the test. Throws `HostFileError`. Blocks.
    package static func forget(_ path: String) throws {
        guard unsafe unlink(path) != 0, errno != ENOENT else { return }
        throw HostFileError("removed", path, code: errno)
    }

    private var encoded: [UInt8] { Array((self.circumstances.joined(separator: "\n") + "\nend\n").utf8) }

    private static func text(_ path: String) throws -> String {
        guard let bytes = try HostFiles.contents(of: path) else { throw HostFileError("read", path, code: ENOENT) }
        return String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// A program's path, file, size and time of change.
    private static func identity(of path: String) throws -> String {
        var status = stat()
        // Links are followed: what runs counts.
        guard unsafe stat(path, &status) == 0 else { throw HostFileError("looked up", path, code: errno) }
        return [
            path, "\(status.st_dev)", "\(status.st_ino)", "\(status.st_size)", "\(status.st_mtim.tv_sec)",
            "\(status.st_mtim.tv_nsec)", "\(status.st_ctim.tv_sec)", "\(status.st_mode)",
        ].joined(separator: " ")
    }
}

extension SandboxProfile {
    /// All of it in an order that does not change.
    fileprivate var circumstances: String {
        let variables = self.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return [
            self.name.name, "\(self.lowestTier.rawValue)", "\(self.processLimit)", "\(self.openFileLimit)",
            "\(self.fileSizeLimit)", "\(self.memoryLimit)", "\(self.treeMemoryLimit)",
            "\(self.processorPercent ?? 0)", "\(self.temporarySize)", "\(self.homeSize)", "\(variables)",
            "\(self.readOnlyPaths)", "\(self.allowsUnixSockets)", "\(self.usesTools)", "\(self.egress.map(\.name))",
        ].joined(separator: " ")
    }
}
