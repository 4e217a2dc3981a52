internal import Domain
package import ShimProtocol

/// Turns a profile, a workspace and a program into the launch file of the shim, at the tier that the host gives.
///
/// The argument list is the one that held against every attempt made on Debian 12 with bubblewrap 0.8.0:
/// namespaces of every kind and no nested ones, a root of its own with only `/usr` from the host, sized
/// memory file systems, nothing of the host's environment, arguments handed over by descriptor. Inside, the guard
/// looks at every layer again before the program runs.
package struct SandboxPlan: Sendable {
    package let host: SandboxHost
    package let tier: SandboxTier
    private let slots: UserSlots

    /// Where the workspace is seen from inside; at tier 1 it keeps the host's path.
    package static let workspacePath = "/workspace"

    /// Where the guard is inside; only a sandbox has it.
    package static let guardPath = "/run/orch/guard"
    private static let home = "/home/agent"
    private static let sharedMemorySize = 16 * 1024 * 1024
    private static let runSize = 1024 * 1024
    private static let insideUser: UInt32 = 1000

    /// `tier` is what was measured, or what is to be measured.
    package init(host: SandboxHost, tier: SandboxTier, slots: UserSlots) {
        self.host = host
        self.tier = tier
        self.slots = slots
    }

    /// The same host at another tier.
    package func at(_ tier: SandboxTier) -> SandboxPlan { SandboxPlan(host: self.host, tier: tier, slots: self.slots) }

    /// The workspace that runs as this user of the host's, nil when none does.
    package func workspace(ofUser user: UInt32) -> String? {
        guard let users = self.host.subordinates?.users, users.contains(user) else { return nil }
        return self.slots.workspace(of: user - users.lowerBound)
    }

    /// How a program is connected.
    package enum Connection: Sendable {
        /// A terminal of its own, recorded; `token` is what an owner must show. Descriptor 3 is for events.
        case terminal(token: [UInt8], orphanGrace: Duration)
        /// Pipes; descriptor 3 is for its result, 4 for lines of its progress.
        case command(input: [UInt8], outputLimit: Int, ownerPID: Int32)
        /// The shim's own input and output; with a size, by way of a terminal of its own.
        case direct(terminal: (columns: UInt16, rows: UInt16)?)

        var isTerminal: Bool {
            switch self {
            case .terminal: true
            case .command: false
            case .direct(let terminal): terminal != nil
            }
        }

        var lastDescriptor: UInt8 {
            switch self {
            case .terminal: 3
            case .direct: 2
            case .command: 4
            }
        }
    }

    /// `directory` is where it starts, below the workspace.
    ///
    /// The launch of a program, or with `isReport` of the guard's look at all layers. Throws `SandboxError` when the host
    /// gives less than the profile asks for, and when there is no user left to run as.
    package func launch(
        _ argv: [String], environment: [String: String] = [:], secrets: [LaunchSpec.Secret] = [],
        profile: SandboxProfile, workspace: String, directory: String? = nil, connection: Connection,
        isReport: Bool = false
    ) throws(SandboxError) -> LaunchSpec {
        guard secrets.isEmpty || self.tier >= .namespaces else {
            throw SandboxError(
                code: .tierTooLow,
                message:
                    "secrets are files that only the sandbox sees: they need tier 2, and this one is \(self.tier.rawValue)"
            )
        }
        guard self.tier > .none, self.tier >= profile.lowestTier || isReport else {
            throw SandboxError(
                code: .tierTooLow,
                message:
                    "the sandbox profile '\(profile.name)' asks for tier \(profile.lowestTier.rawValue) (\(profile.lowestTier.summary)), and this host gives tier \(self.tier.rawValue) (\(self.tier.summary)); see: orchestra doctor"
            )
        }
        guard self.tier < .limited || self.host.controlGroups.canLimit else {
            throw SandboxError(
                code: .missingPrerequisite,
                message:
                    "no control groups for memory and processes were given to this process; set Delegate=yes in its unit, or start it by ops/run"
            )
        }
        let user = self.tier >= .ownUser ? try self.ownUser(of: workspace) : nil
        var spec = try self.guardSpec(
            argv, environment: environment, profile: profile, workspace: workspace, connection: connection,
            user: user?.spec)
        if let directory { spec.directory += "/" + directory }
        spec.mounts += secrets.map { Self.path(ofSecret: $0.name) }
        if isReport { spec.task = .report }
        var launch: LaunchSpec
        if self.tier >= .namespaces {
            guard let launcher = self.host.launcher else {
                throw SandboxError(
                    code: .missingPrerequisite,
                    message: "bwrap was not found; install it with: apt-get install bubblewrap")
            }
            launch = LaunchSpec(
                mode: .direct, executable: launcher,
                arguments: try self.arguments(
                    profile, workspace: workspace, connection: connection, secrets: secrets.map(\.name)),
                command: [.text(Self.guardPath), .text("guard"), .data(spec.encoded)], userMap: user?.map)
        } else {
            launch = LaunchSpec(
                mode: .direct, executable: self.host.shim, arguments: [],
                command: [.text("guard"), .data(spec.encoded)])
        }
        Self.connect(&launch, connection)
        launch.secrets = secrets
        launch.controlGroups = self.host.controlGroups.groups(for: profile)
        return launch
    }

    private static func connect(_ launch: inout LaunchSpec, _ connection: Connection) {
        switch connection {
        case .terminal(let token, let grace):
            launch.mode = .terminal
            launch.token = token
            launch.orphanGrace = UInt32(clamping: grace.components.seconds)
        case .command(let input, let limit, let owner):
            launch.mode = .command
            launch.input = input
            launch.outputLimit = UInt32(clamping: limit)
            launch.ownerPID = owner
        case .direct(let terminal):
            launch.columns = terminal?.columns ?? 0
            launch.rows = terminal?.rows ?? 0
        }
    }

    private func ownUser(
        of workspace: String
    ) throws(SandboxError) -> (spec: GuardSpec.OwnUser, map: LaunchSpec.UserMap) {
        guard let given = self.host.subordinates else {
            throw SandboxError(
                code: .missingPrerequisite,
                message:
                    "this user has no users to give away; install uidmap and give it a range: usermod --add-subuids 200000-265535 --add-subgids 200000-265535 USER"
            )
        }
        let slot = try self.slots.slot(of: workspace, below: UInt32(min(given.users.count, given.groups.count)))
        let (user, group) = (given.users.lowerBound + slot, given.groups.lowerBound + slot)
        return (
            GuardSpec.OwnUser(inside: Self.insideUser, outside: user),
            LaunchSpec.UserMap(
                userMapper: given.userMapper, groupMapper: given.groupMapper,
                users: [
                    LaunchSpec.Mapping(inside: 0, outside: given.user, count: 1),
                    LaunchSpec.Mapping(inside: Self.insideUser, outside: user, count: 1),
                ],
                groups: [
                    LaunchSpec.Mapping(inside: 0, outside: given.group, count: 1),
                    LaunchSpec.Mapping(inside: Self.insideUser, outside: group, count: 1),
                ])
        )
    }

    // MARK: - What the guard is told

    private func guardSpec(
        _ argv: [String], environment: [String: String], profile: SandboxProfile, workspace: String,
        connection: Connection, user: GuardSpec.OwnUser?
    ) throws(SandboxError) -> GuardSpec {
        let isNamespaced = self.tier >= .namespaces
        let home = isNamespaced ? Self.home : workspace + "/.home"
        var variables = ["PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "USER": "agent"]
        if connection.isTerminal { variables["TERM"] = "xterm-256color" }
        if case .terminal = connection { variables["ORCHESTRA_EVENTS_FD"] = "3" }
        if !isNamespaced {
            variables["TMPDIR"] = home + "/tmp"
            // It may not look at the host's, and would give up.
            variables["GIT_CONFIG_NOSYSTEM"] = "1"
        }
        // The workspace is the node's user's and the program another one, which git would not trust.
        if user != nil {
            variables.merge(
                ["GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"]
            ) { $1 }
        }
        variables.merge(profile.environment) { $1 }
        variables.merge(environment) { $1 }
        var filter: [UInt8] = []
        if !isNamespaced { filter = try Self.filter(.shared) }
        return GuardSpec(
            task: .run, isTerminal: connection.isTerminal, lastDescriptor: connection.lastDescriptor,
            directory: isNamespaced ? Self.workspacePath : workspace, environment: variables, argv: argv,
            isNamespaced: isNamespaced, namespaces: isNamespaced ? self.host.namespaces : [],
            mounts: isNamespaced ? self.mounts(profile) : [],
            sizes: isNamespaced ? Self.sizes(profile) : [], ownUser: user,
            handedOver: user == nil ? [] : [Self.home, "/run/orch"],
            sharedTree: isNamespaced ? Self.workspacePath : workspace,
            madeDirectories: isNamespaced ? [] : [home, home + "/tmp"],
            isLandlocked: self.host.landlockVersion > 0 || !isNamespaced,
            rules: isNamespaced ? Self.rulesInside : Self.rulesOutside(profile, workspace: workspace), filter: filter,
            processLimit: UInt64(profile.processLimit), openFileLimit: UInt64(profile.openFileLimit),
            fileSizeLimit: UInt64(profile.fileSizeLimit), memoryLimit: UInt64(profile.memoryLimit))
    }

    private static func filter(_ strictness: SeccompFilter.Strictness) throws(SandboxError) -> [UInt8] {
        guard let filter = SeccompFilter(strictness) else {
            throw SandboxError(
                code: .missingPrerequisite, message: "there is no system call filter for this machine's architecture")
        }
        return filter.program
    }

    private func mounts(_ profile: SandboxProfile) -> [String] {
        [
            "/", "/usr", "/proc", "/dev", "/tmp", "/run", Self.guardPath, Self.home, Self.workspacePath, "/etc/passwd",
            "/etc/group", "/etc/hosts", "/etc/nsswitch.conf",
        ] + Self.boundConfiguration.filter { self.host.hostPaths.contains($0) } + profile.readOnlyPaths
    }

    private static let boundConfiguration = ["/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs"]

    private static func sizes(_ profile: SandboxProfile) -> [GuardSpec.SizedDirectory] {
        [
            ("/tmp", profile.temporarySize), (Self.home, profile.homeSize), ("/dev/shm", Self.sharedMemorySize),
            ("/run", Self.runSize),
        ].map { GuardSpec.SizedDirectory(path: $0.0, size: UInt64($0.1)) }
    }

    private static var rulesInside: [GuardSpec.Rule] {
        [GuardSpec.Rule("/", .read), GuardSpec.Rule("/dev", .device)]
            + [Self.workspacePath, "/tmp", Self.home, "/dev/shm"].map { GuardSpec.Rule($0, .write) }
    }

    /// Without a root of its own: what the host shows, path by path.
    private static func rulesOutside(_ profile: SandboxProfile, workspace: String) -> [GuardSpec.Rule] {
        let trees =
            ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"] + Self.boundConfiguration + profile.readOnlyPaths
        let files = [
            "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/proc/cpuinfo",
            "/proc/meminfo",
        ]
        let devices = ["null", "zero", "full", "random", "urandom", "tty"].map { "/dev/\($0)" }
        return trees.map { GuardSpec.Rule($0, .read) } + files.map { GuardSpec.Rule($0, .file) }
            + devices.map { GuardSpec.Rule($0, .device) } + [GuardSpec.Rule(workspace, .write)]
    }

    // MARK: - What the launcher is told

    private func arguments(
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
            // The launcher asks for one more place to report to, which nobody reads.
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
        list.add("--proc", "/proc")
        for path in ["/proc/cmdline", "/proc/config.gz", "/proc/keys"] where self.host.hostPaths.contains(path) {
            list.add("--ro-bind", "/dev/null", path)
        }
        list.add(
            "--dev", "/dev", "--size", String(Self.sharedMemorySize), "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
        list.add("--perms", "1777", "--size", String(profile.temporarySize), "--tmpfs", "/tmp")
        list.add("--perms", "0755", "--size", String(Self.runSize), "--tmpfs", "/run")
        list.add("--perms", "0755", "--dir", "/run/orch", "--ro-bind", self.host.shim, Self.guardPath)
        list.add("--perms", "0755", "--dir", "/home")
        if !secrets.isEmpty { list.add("--perms", "0755", "--dir", "/run/secrets") }
        for name in secrets {
            // Everyone inside may read it: inside there is nobody else.
            list.add("--perms", "0444", "--ro-bind-data")
            list.arguments.append(.secret(name))
            list.add(Self.path(ofSecret: name))
        }
        list.add("--perms", "0700", "--size", String(profile.homeSize), "--tmpfs", Self.home)
        list.add("--bind", workspace, Self.workspacePath, "--remount-ro", "/", "--seccomp")
        list.arguments.append(.data(try Self.filter(.namespaced)))
        list.add("--json-status-fd")
        list.arguments.append(.statusDescriptor)
        return list.arguments
    }

    private static func path(ofSecret name: String) -> String { "/run/secrets/\(name)" }

    private func addRoot(to list: inout ArgumentList) {
        list.add("--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin")
        list.add("--symlink", "usr/lib", "/lib")
        for library in ["lib64", "lib32"] where self.host.hostPaths.contains("/usr/\(library)") {
            list.add("--symlink", "usr/\(library)", "/\(library)")
        }
        // Parents first: a bind may otherwise create its missing parent with mode 0700.
        list.add("--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/etc/ssl")
        for path in Self.boundConfiguration where self.host.hostPaths.contains(path) {
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
