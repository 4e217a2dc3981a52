internal import Domain
package import ShimProtocol

/// Turns a profile, a workspace and a program into the launch file of the shim.
///
/// The argument list is the one that held against every attempt made on Debian 12 with bubblewrap 0.8.0:
/// namespaces of every kind and no nested ones, a root of its own with only `/usr` from the host, sized
/// memory file systems, nothing of the host's environment, arguments handed over by descriptor.
package struct SandboxPlan: Sendable {
    private let launcher: String
    private let hostPaths: Set<String>

    /// Paths that are shown inside only where the host has them.
    private static let optionalHostPaths = [
        "/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs", "/proc/cmdline", "/proc/config.gz", "/proc/keys",
        "/usr/lib64", "/usr/lib32",
    ]

    /// `launcher` is bubblewrap's absolute path; `exists` tells whether the host has a path.
    package init(launcher: String, exists: (String) -> Bool) {
        self.launcher = launcher
        self.hostPaths = Set(Self.optionalHostPaths.filter(exists))
    }

    /// The launch of an agent in a terminal.
    package func terminal(
        _ argv: [String], environment: [String: String], profile: SandboxProfile, workspace: String, token: [UInt8],
        orphanGrace: Duration
    ) -> LaunchSpec {
        LaunchSpec(
            mode: .terminal, executable: self.launcher,
            arguments: self.arguments(profile, environment: environment, workspace: workspace, isTerminal: true),
            command: self.guarded(argv, profile: profile, keeping: 2),
            orphanGrace: UInt32(clamping: orphanGrace.components.seconds), token: token)
    }

    /// The launch of a command with pipes; descriptor 3 is for its result, 4 for lines of its progress.
    package func command(
        _ argv: [String], input: [UInt8], environment: [String: String] = [:], profile: SandboxProfile,
        workspace: String, outputLimit: Int, ownerPID: Int32
    ) -> LaunchSpec {
        LaunchSpec(
            mode: .command, executable: self.launcher,
            arguments: self.arguments(profile, environment: environment, workspace: workspace, isTerminal: false),
            command: self.guarded(argv, profile: profile, keeping: 4), outputLimit: UInt32(clamping: outputLimit),
            input: input, ownerPID: ownerPID)
    }

    /// Runs first inside: closes every descriptor that the launcher leaves open, sets limits (the process
    /// limit counts per sandbox only when set inside its user namespace), then becomes the program.
    private func guarded(_ argv: [String], profile: SandboxProfile, keeping last: Int) -> [String] {
        let script = """
            for f in /proc/self/fd/*; do f=${f##*/}; if [ "$f" -gt \(last) ]; then eval "exec $f>&-"; fi; done; \
            ulimit -c 0 && ulimit -u \(profile.processLimit) && ulimit -n \(profile.openFileLimit) && \
            ulimit -f \(max(1, profile.fileSizeLimit / 1024)) || exit 125; exec "$@"
            """
        return ["/bin/bash", "--noprofile", "--norc", "-c", script, "orchestra"] + argv
    }

    private func arguments(
        _ profile: SandboxProfile, environment: [String: String], workspace: String, isTerminal: Bool
    ) -> [LaunchSpec.Argument] {
        var list = ArgumentList()
        for namespace in ["user", "pid", "ipc", "uts", "net", "cgroup"] { list.add("--unshare-\(namespace)") }
        list.add("--disable-userns", "--die-with-parent")
        if !isTerminal { list.add("--new-session") }
        list.add("--uid", "1000", "--gid", "1000", "--hostname", "agent", "--clearenv")
        let variables = ["PATH": "/usr/bin:/bin", "HOME": "/home/agent", "LANG": "C.UTF-8", "USER": "agent"]
            .merging(isTerminal ? ["TERM": "xterm-256color"] : [:]) { $1 }
            .merging(profile.environment) { $1 }.merging(environment) { $1 }
        for (name, value) in variables.sorted(by: { $0.key < $1.key }) { list.add("--setenv", name, value) }
        self.addRoot(to: &list)
        for path in profile.readOnlyPaths { list.add("--ro-bind", path, path) }
        list.add("--proc", "/proc")
        for path in ["/proc/cmdline", "/proc/config.gz", "/proc/keys"] where self.hostPaths.contains(path) {
            list.add("--ro-bind", "/dev/null", path)
        }
        list.add("--dev", "/dev", "--size", "16777216", "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
        list.add("--perms", "1777", "--size", String(profile.temporarySize), "--tmpfs", "/tmp")
        list.add("--perms", "0755", "--size", "1048576", "--tmpfs", "/run", "--perms", "0755", "--dir", "/run/orch")
        list.add("--perms", "0700", "--size", String(profile.homeSize), "--tmpfs", "/home/agent")
        list.add("--bind", workspace, "/workspace", "--chdir", "/workspace", "--remount-ro", "/")
        list.add("--json-status-fd")
        list.arguments.append(.statusDescriptor)
        return list.arguments
    }

    private func addRoot(to list: inout ArgumentList) {
        list.add("--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin")
        list.add("--symlink", "usr/lib", "/lib")
        for library in ["lib64", "lib32"] where self.hostPaths.contains("/usr/\(library)") {
            list.add("--symlink", "usr/\(library)", "/\(library)")
        }
        // Parents first: a bind may otherwise create its missing parent with mode 0700.
        list.add("--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/etc/ssl")
        for path in ["/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs"] where self.hostPaths.contains(path) {
            list.add("--ro-bind", path, path)
        }
        list.add(file: "/etc/passwd", "agent:x:1000:1000:agent:/home/agent:/bin/bash\n")
        list.add(file: "/etc/group", "agent:x:1000:\n")
        list.add(file: "/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        list.add(file: "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
    }

    private struct ArgumentList {
        var arguments: [LaunchSpec.Argument] = []

        mutating func add(_ texts: String...) { self.arguments += texts.map { .text($0) } }

        mutating func add(file path: String, _ content: String) {
            self.add("--perms", "0444", "--ro-bind-data")
            self.arguments.append(.data(Array(content.utf8)))
            self.add(path)
        }
    }
}
