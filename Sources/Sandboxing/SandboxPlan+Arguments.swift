internal import Domain
internal import ShimProtocol

/// The launcher's arguments.
extension SandboxPlan {
    func arguments(
        _ profile: SandboxProfile, workspace: String, connection: Connection, secrets: [String]
    ) throws(SandboxError) -> [LaunchSpec.Argument] {
        var list = ArgumentList()
        for namespace in ["user", "pid", "ipc", "uts", "net", "cgroup"] { list.add("--unshare-\(namespace)") }
        if self.tier >= .ownUser {
            // What the guard needs to become the own user, and drops then. Nested namespaces are the filter's matter.
            list.add("--uid", "0", "--gid", "0")
            for capability in ["SETUID", "SETGID", "SETPCAP", "CHOWN", "FOWNER"] {
                list.add("--cap-add", "CAP_\(capability)")
            }
            list.add("--userns-block-fd")
            list.arguments.append(.mappingDescriptor)
            // The launcher demands one more descriptor for reports, which is not read.
            list.add("--info-fd")
            list.arguments.append(.data([]))
        } else {
            list.add("--disable-userns", "--uid", String(Self.insideUser), "--gid", String(Self.insideUser))
        }
        list.add("--die-with-parent")
        if !connection.isTerminal { list.add("--new-session") }
        list.add("--hostname", "agent", "--clearenv")
        self.addRoot(to: &list)
        for path in profile.readOnlyPaths { list.add("--ro-bind", path, path) }
        if profile.usesTools, let tools = self.host.tools {
            list.add("--perms", "0755", "--dir", "/opt", "--ro-bind", tools, Self.toolsPath)
        }
        list.add("--proc", "/proc")
        for path in ["/proc/cmdline", "/proc/config.gz", "/proc/keys"] where self.host.hostPaths.contains(path) {
            list.add("--ro-bind", "/dev/null", path)
        }
        list.add(
            "--dev", "/dev", "--perms", "1777", "--size", String(Self.sharedMemorySize), "--tmpfs", "/dev/shm",
            "--remount-ro", "/dev")
        list.add("--perms", "1777", "--size", String(profile.temporarySize), "--tmpfs", "/tmp")
        list.add("--perms", "0755", "--dir", "/var")
        list.add("--perms", "1777", "--size", String(profile.temporarySize), "--tmpfs", "/var/tmp")
        list.add("--perms", "0755", "--size", String(Self.runSize), "--tmpfs", "/run")
        list.add("--perms", "0755", "--dir", "/run/orch", "--ro-bind", self.host.shim, Self.guardPath)
        list.add("--perms", "0755", "--dir", "/home")
        if !secrets.isEmpty { list.add("--perms", "0755", "--dir", "/run/secrets") }
        for name in secrets {
            // Every process inside may read it: all of them are the program's.
            list.add("--perms", "0444", "--ro-bind-data")
            list.arguments.append(.secret(name))
            list.add(Self.path(ofSecret: name))
        }
        list.add("--perms", "0700", "--size", String(profile.homeSize), "--tmpfs", Self.home)
        list.add("--bind", workspace, Self.workspacePath, "--remount-ro", "/", "--seccomp")
        list.arguments.append(
            .data(try Self.filter(.namespaced, allowsUnixSockets: self.allowsUnixSockets(profile))))
        list.add("--json-status-fd")
        list.arguments.append(.statusDescriptor)
        return list.arguments
    }

    static func path(ofSecret name: String) -> String { "/run/secrets/\(name)" }

    private func addRoot(to list: inout ArgumentList) {
        list.add("--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin")
        list.add("--symlink", "usr/lib", "/lib")
        for library in ["lib64", "lib32"] where self.host.hostPaths.contains("/usr/\(library)") {
            list.add("--symlink", "usr/\(library)", "/\(library)")
        }
        // Parents first: a bind may otherwise create its missing parent with mode 0700.
        list.add("--perms", "0755", "--dir", "/etc")
        for parent in self.configurationParents { list.add("--perms", "0755", "--dir", parent) }
        var copied = 0
        for path in self.host.configuration {
            guard let copy = SmallCopy(of: path), copied + copy.files.count <= Self.mostCopies else {
                list.add("--ro-bind", path, path)
                continue
            }
            for directory in copy.directories { list.add("--perms", "0755", "--dir", directory) }
            for file in copy.files { list.add(file: file.path, file.content) }
            copied += copy.files.count
        }
        for file in Self.madeFiles { list.add(file: file.path, Array(file.content.utf8)) }
    }

    /// Each copy is a descriptor of the launcher, of which a program gets at most 128.
    private static let mostCopies = 48

    /// Directories between `/etc` and what is shown of it, parents before their children.
    private var configurationParents: [String] {
        var parents: Set<String> = []
        for path in self.host.configuration {
            let parts = path.split(separator: "/")
            for count in stride(from: 2, to: parts.count, by: 1) {
                parents.insert("/" + parts.prefix(count).joined(separator: "/"))
            }
        }
        return parents.sorted()
    }

    /// Files of `/etc` that are made for the sandbox. What git's system-wide file says yields to a user's and to a
    /// repository's: an author, and that a workspace may belong to another user than the program's.
    static let madeFiles: [(path: String, content: String)] = [
        ("/etc/passwd", "agent:x:1000:1000:agent:/home/agent:/bin/bash\n"), ("/etc/group", "agent:x:1000:\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n"),
        ("/etc/gitconfig", "[user]\n\tname = agent\n\temail = \(author)\n[safe]\n\tdirectory = *\n"),
    ]

    private struct ArgumentList {
        var arguments: [LaunchSpec.Argument] = []

        mutating func add(_ texts: String...) { self.arguments += texts.map { .text($0) } }

        mutating func add(file path: String, _ content: [UInt8]) {
            self.add("--perms", "0444", "--file")
            self.arguments.append(.data(content))
            self.add(path)
        }
    }
}
