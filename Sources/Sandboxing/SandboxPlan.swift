internal import Domain
package import ShimProtocol

/// Turns a profile, a workspace and a program into the launch file of the shim, at the tier that the host gives.
///
/// The argument list is the one that held against every attempt made on Debian 12 with bubblewrap 0.8.0:
/// namespaces of every kind and no nested ones, a root of its own with only `/usr` from the host, sized
/// memory file systems, nothing of the host's environment, arguments handed over by descriptor. Inside, the guard
/// checks every layer again before the program runs.
package struct SandboxPlan: Sendable {
    package let host: SandboxHost
    package let tier: SandboxTier
    private let slots: UserSlots

    /// Where the workspace is seen from inside; at tier 1 it keeps the host's path.
    package static let workspacePath = "/workspace"

    /// Where the guard is inside; only a sandbox has it.
    package static let guardPath = "/run/orch/guard"
    /// Where the programs of agents are seen from inside; `agents.tools` names them on the host.
    package static let toolsPath = "/opt/agents"
    static let home = "/home/agent"
    static let sharedMemorySize = 16 * 1024 * 1024
    static let runSize = 1024 * 1024
    static let insideUser: UInt32 = 1000

    /// `tier` is what was measured, or what is to be measured.
    package init(host: SandboxHost, tier: SandboxTier, slots: UserSlots) {
        self.host = host
        self.tier = tier
        self.slots = slots
    }

    /// Whether programs of this profile may use Unix sockets. Only a user of its own keeps a sandbox from the sockets of
    /// the node's user in the workspace: a socket's path is checked against the mounts by no kernel before Landlock 9.
    func allowsUnixSockets(_ profile: SandboxProfile) -> Bool { profile.allowsUnixSockets && self.tier >= .ownUser }

    /// The same host at another tier.
    package func at(_ tier: SandboxTier) -> SandboxPlan { SandboxPlan(host: self.host, tier: tier, slots: self.slots) }

    /// The workspace that runs as this user of the host's, nil when none does. Throws `HostFileError` when that cannot be
    /// read.
    package func workspace(ofUser user: UInt32) throws -> String? {
        guard let users = self.host.subordinates?.users, users.contains(user) else { return nil }
        return try self.slots.workspace(of: user - users.lowerBound)
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

        /// True when the descriptors are made for this launch, so that they may be given to the program's user.
        var ownsDescriptors: Bool {
            switch self {
            case .terminal, .command: true
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

    /// The launch of a program, or with `isReport` of the guard's check of all layers. `directory` is where it starts,
    /// below the workspace; `egress` counts only for a profile that has egress files. Throws `SandboxError` when the host
    /// gives less than the profile demands, and when no user is left to run as. Blocks: the numbers of users are kept in
    /// files.
    package func launch(
        _ argv: [String], environment: [String: String] = [:], secrets: [LaunchSpec.Secret] = [],
        profile: SandboxProfile, workspace: String, directory: String? = nil, connection: Connection,
        egress: EgressAccess? = nil, isReport: Bool = false
    ) throws(SandboxError) -> LaunchSpec {
        try self.checkEgress(profile, egress)
        try self.check(profile, hasSecrets: !secrets.isEmpty, isReport: isReport)
        let user = self.tier >= .ownUser ? try self.ownUser(of: workspace) : nil
        var spec = try self.guardSpec(
            argv, environment: environment, profile: profile, workspace: workspace, connection: connection,
            user: user?.spec, egress: egress)
        if let directory { spec.directory += "/" + directory }
        if !profile.egress.isEmpty { spec.listeners = [Self.proxyPort] }
        spec.mounts += secrets.map { Self.path(ofSecret: $0.name) }
        if isReport { spec.task = .report }
        var launch: LaunchSpec
        if self.tier >= .namespaces {
            guard let launcher = self.host.launcher else {
                throw SandboxError(
                    message: "bwrap was not found; install it with: apt-get install bubblewrap", isHostFault: true)
            }
            launch = LaunchSpec(
                mode: .direct, executable: launcher,
                arguments: try self.arguments(
                    profile, workspace: workspace, connection: connection, secrets: secrets.map(\.name)),
                command: [.text(Self.guardPath), .text("guard"), .data(spec.encoded), .reportDescriptor],
                userMap: user?.map)
        } else {
            launch = LaunchSpec(
                mode: .direct, executable: self.host.shim, arguments: [],
                command: [.text("guard"), .data(spec.encoded), .reportDescriptor])
        }
        Self.connect(&launch, connection)
        launch.secrets = secrets
        if !profile.egress.isEmpty {
            launch.egress = egress.map { LaunchSpec.Egress(socket: $0.socket, hello: $0.hello.encoded) }
        }
        launch.controlGroups = self.host.controlGroups.groups(for: profile)
        return launch
    }

    /// Throws when this host gives less than the profile demands.
    private func check(_ profile: SandboxProfile, hasSecrets: Bool, isReport: Bool) throws(SandboxError) {
        guard !profile.usesTools || (self.host.tools != nil && self.tier >= .namespaces) else {
            throw SandboxError(
                message:
                    "the sandbox profile '\(profile.name)' shows the programs of agents, which needs tier 2 and the setting agents.tools: a directory with programs such as claude",
                isHostFault: true)
        }
        guard !hasSecrets || self.tier >= .namespaces else {
            throw SandboxError(
                message:
                    "secrets are files that only the sandbox sees: they need tier 2, and this one is \(self.tier.rawValue)"
            )
        }
        guard self.tier > .none, self.tier >= profile.lowestTier || isReport else {
            throw SandboxError(
                message:
                    "the sandbox profile '\(profile.name)' asks for tier \(profile.lowestTier.rawValue) (\(profile.lowestTier.summary)), and this host gives tier \(self.tier.rawValue) (\(self.tier.summary)); see: orchestra doctor"
            )
        }
        guard self.tier < .limited || self.host.controlGroups.canLimit else {
            throw SandboxError(
                message:
                    "no control groups for memory and processes were given to this process; set Delegate=yes in its unit, or start it by ops/run",
                isHostFault: true)
        }
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
                message:
                    "this user has no users to give away; install uidmap and give it a range: usermod --add-subuids 200000-265535 --add-subgids 200000-265535 USER",
                isHostFault: true)
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
}
