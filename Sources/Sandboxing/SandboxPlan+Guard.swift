internal import CLinux
internal import Domain
internal import ShimProtocol

/// What the guard does and checks inside.
extension SandboxPlan {
    /// The author of commits where nothing names one.
    static let author = "agent@localhost"

    func guardSpec(
        _ argv: [String], environment: [String: String], profile: SandboxProfile, workspace: String,
        connection: Connection, user: GuardSpec.OwnUser?, egress: EgressAccess?
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
        // Looking for leaks at the end traces the process, which no sandbox allows; without this every program that was
        // built with a sanitizer fails at its end.
        variables["ASAN_OPTIONS"] = "detect_leaks=0"
        // git takes it only where no configuration names an author.
        variables["EMAIL"] = Self.author
        if !profile.egress.isEmpty, let egress { variables.merge(egress.variables) { $1 } }
        variables.merge(profile.environment) { $1 }
        variables.merge(Self.resolved(environment, in: variables)) { $1 }
        var filter: [UInt8] = []
        if !isNamespaced { filter = try Self.filter(.shared) }
        return GuardSpec(
            task: .run, isTerminal: connection.isTerminal, lastDescriptor: connection.lastDescriptor,
            directory: isNamespaced ? Self.workspacePath : workspace, environment: variables, argv: argv,
            isNamespaced: isNamespaced, namespaces: isNamespaced ? self.host.namespaces : [],
            mounts: isNamespaced ? self.mounts(profile) : [],
            sizes: isNamespaced ? Self.sizes(profile) : [], ownUser: user,
            handedOver: user == nil ? [] : [Self.home, "/run/orch"], ownsDescriptors: connection.ownsDescriptors,
            allowsUnixSockets: self.allowsUnixSockets(profile),
            sharedTree: isNamespaced ? Self.workspacePath : workspace,
            madeDirectories: isNamespaced ? [] : [home, home + "/tmp"],
            isLandlocked: self.host.landlockVersion > 0 || !isNamespaced,
            rules: isNamespaced ? Self.rulesInside : self.rulesOutside(profile, workspace: workspace), filter: filter,
            processLimit: UInt64(profile.processLimit),
            openFileLimit: UInt64(profile.openFileLimit), fileSizeLimit: UInt64(profile.fileSizeLimit),
            memoryLimit: self.host.controlGroups.limitsMemory ? GuardSpec.unlimited : UInt64(profile.memoryLimit))
    }

    /// The variables of a definition. A value `{NAME}` stands for that of another variable of the sandbox, such as a
    /// placeholder; without that one there is none.
    private static func resolved(_ environment: [String: String], in known: [String: String]) -> [String: String] {
        environment.compactMapValues { value in
            let name = value.dropFirst().dropLast()
            guard value.first == "{", value.last == "}", !name.isEmpty,
                name.utf8.allSatisfy({ (0x41...0x5a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5f })
            else { return value }
            return known[String(name)]
        }
    }

    static func filter(
        _ strictness: SeccompFilter.Strictness, allowsUnixSockets: Bool = false
    ) throws(SandboxError) -> [UInt8] {
        guard let filter = SeccompFilter(strictness, allowsUnixSockets: allowsUnixSockets) else {
            throw SandboxError(message: "there is no system call filter for this machine's architecture")
        }
        return filter.program
    }

    private func mounts(_ profile: SandboxProfile) -> [String] {
        [
            "/", "/usr", "/proc", "/dev", "/tmp", "/var/tmp", "/run", Self.guardPath, Self.home, Self.workspacePath,
        ] + Self.madeFiles.map(\.path) + self.host.configuration + profile.readOnlyPaths
            + (profile.usesTools ? [Self.toolsPath] : [])
    }

    private static func sizes(_ profile: SandboxProfile) -> [GuardSpec.SizedDirectory] {
        [
            ("/tmp", profile.temporarySize), ("/var/tmp", profile.temporarySize), (Self.home, profile.homeSize),
            ("/dev/shm", Self.sharedMemorySize),
            ("/run", Self.runSize),
        ].map { GuardSpec.SizedDirectory(path: $0.0, size: UInt64($0.1)) }
    }

    private static var rulesInside: [GuardSpec.Rule] {
        [GuardSpec.Rule("/", .read), GuardSpec.Rule("/dev", .device)]
            + [Self.workspacePath, "/tmp", "/var/tmp", Self.home, "/dev/shm"].map { GuardSpec.Rule($0, .write) }
    }

    /// Without a root of its own: what the host shows, path by path.
    private func rulesOutside(_ profile: SandboxProfile, workspace: String) -> [GuardSpec.Rule] {
        let trees =
            ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"] + self.host.configuration + profile.readOnlyPaths
        let files = [
            "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/proc/cpuinfo",
            "/proc/meminfo",
        ]
        let devices = ["null", "zero", "full", "random", "urandom", "tty"].map { "/dev/\($0)" }
        return trees.map { GuardSpec.Rule($0, .read) } + files.map { GuardSpec.Rule($0, .file) }
            + devices.map { GuardSpec.Rule($0, .device) } + [GuardSpec.Rule(workspace, .write)]
    }
}
