import Domain
import ModelUsage
import ShimProtocol
import TestSupport
import Testing

@testable import Sandboxing

@Suite("SandboxPlan")
struct SandboxPlanTests {
    private static let subordinates = SandboxHost.Subordinates(
        userMapper: "/usr/bin/newuidmap", groupMapper: "/usr/bin/newgidmap", users: 200_000..<200_100,
        groups: 300_000..<300_100, user: 1001, group: 1002)

    private static func groups(_ controllers: Set<ControlGroups.Controller>) -> ControlGroups {
        ControlGroups(hierarchies: [
            ControlGroups.Hierarchy(parent: "/sys/fs/cgroup/node", controllers: controllers, isUnified: true)
        ])
    }

    private static func profile(
        unix: Bool = true, lowest: SandboxTier = .namespaces, egress: [DefinitionName] = []
    ) throws -> SandboxProfile {
        SandboxProfile(
            name: try .init("tested"), summary: "x", lowestTier: lowest, processLimit: 64, openFileLimit: 256,
            fileSizeLimit: 1 << 20, memoryLimit: 1 << 30, treeMemoryLimit: 1 << 30, temporarySize: 12_345,
            homeSize: 54_321, environment: ["FROM": "profile"], readOnlyPaths: ["/opt/tool"],
            allowsUnixSockets: unix, egress: egress)
    }

    private static func launch(
        _ tier: SandboxTier, groups: Set<ControlGroups.Controller> = [], unix: Bool = true,
        lowest: SandboxTier = .landlock, launcher: String? = "/usr/bin/bwrap",
        subordinates: SandboxHost.Subordinates? = Self.subordinates, environment: [String: String] = [:],
        secrets: [LaunchSpec.Secret] = [], directory: String? = nil,
        connection: SandboxPlan.Connection = .command(input: [7], outputLimit: 1024, ownerPID: 42),
        files: [DefinitionName] = [], egress: EgressAccess? = nil
    ) async throws -> LaunchSpec {
        try await withDirectory { root in
            let host = SandboxHost(
                launcher: launcher, shim: "/usr/libexec/shim", landlockVersion: 7,
                configuration: ["/etc/ssl/certs", "/etc/services"], hostPaths: ["/usr/lib64"],
                subordinates: subordinates, controlGroups: Self.groups(groups))
            let plan = SandboxPlan(host: host, tier: tier, slots: UserSlots(path: root + "/users"))
            return try plan.launch(
                ["/bin/true"], environment: environment, secrets: secrets,
                profile: try Self.profile(unix: unix, lowest: lowest, egress: files), workspace: root,
                directory: directory, connection: connection, egress: egress)
        }
    }

    private static func guardSpec(_ launch: LaunchSpec) throws -> GuardSpec {
        for argument in launch.command {
            if case .data(let bytes) = argument { return try GuardSpec(decoding: bytes) }
        }
        throw TestFailure("there is no file for the guard")
    }

    private static func texts(_ launch: LaunchSpec) -> [String] {
        launch.arguments.map { if case .text(let text) = $0 { text } else { "#" } }
    }

    @Test("a profile with egress has a listener and the variables of a proxy, and one without has neither")
    func egress() async throws {
        let hello = try Self.hello()
        let way = EgressAccess(hello, at: .init(socket: "/s", models: [:]))
        let open = try await Self.launch(.namespaces, files: [try DefinitionName("web")], egress: way)
        let inside = try Self.guardSpec(open)
        #expect(open.egress == LaunchSpec.Egress(socket: "/s", hello: hello.encoded) && inside.listeners == [3128])
        #expect(inside.environment["ANTHROPIC_BASE_URL"] == nil)
        #expect(inside.environment["https_proxy"] == "http://127.0.0.1:3128")
        let closed = try await Self.launch(.namespaces, egress: way)
        let alone = try Self.guardSpec(closed)
        #expect(closed.egress == nil && alone.listeners.isEmpty && alone.environment["https_proxy"] == nil)
    }

    private static func hello() throws -> EgressHello {
        EgressHello(
            workspace: try WorkspaceID("acme"), job: JobID(milliseconds: 1, randomHigh: 2, randomLow: 3), launch: 1,
            profile: try DefinitionName("web"))
    }

    @Test("a launch whose profile reaches models finds base URLs and placeholders that no other launch has")
    func models() async throws {
        let web = try DefinitionName("web")
        let endpoint = EgressAccess.Endpoint(socket: "/s", models: [web: [.anthropic, .openAI]])
        var number: UInt64 = 0
        func access() throws -> EgressAccess {
            EgressAccess(try Self.hello(), at: endpoint) {
                number += 1
                return number
            }
        }
        var keys: Set<String> = []
        for _ in 0..<2 {
            let launch = try await Self.launch(.namespaces, files: [web], egress: try access())
            let variables = try Self.guardSpec(launch).environment
            #expect(variables["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:3128/model/anthropic")
            #expect(variables["OPENAI_BASE_URL"] == "http://127.0.0.1:3128/model/openai/v1")
            #expect(variables["GEMINI_API_KEY"] == nil)
            let hello = try #require(launch.egress?.hello)
            let secret = try #require(try EgressHello(decoding: hello.dropLast()).secret)
            let key = try #require(variables["ANTHROPIC_API_KEY"])
            #expect(key == "sk-ant-api03-\(secret)" && variables["OPENAI_API_KEY"] == "sk-proj-\(secret)")
            keys.insert(key)
        }
        #expect(keys.count == 2)
    }

    @Test("a profile with egress is refused at tier 1, and where nothing serves the launch")
    func refusedEgress() async throws {
        let files = [try DefinitionName("web")]
        let way = EgressAccess(try Self.hello(), at: .init(socket: "/s", models: [:]))
        let low = await #expect(throws: SandboxError.self) {
            try await Self.launch(.landlock, launcher: nil, files: files, egress: way)
        }
        #expect(low?.message.contains("needs a network namespace") == true)
        let unserved = await #expect(throws: SandboxError.self) { try await Self.launch(.namespaces, files: files) }
        #expect(unserved?.isHostFault == true)
    }

    @Test("every namespace is unshared from tier 2 on", arguments: [SandboxTier.namespaces, .ownUser])
    func namespaces(tier: SandboxTier) async throws {
        let texts = Self.texts(try await Self.launch(tier))
        for name in ["user", "pid", "ipc", "uts", "net", "cgroup"] { #expect(texts.contains("--unshare-\(name)")) }
        #expect(texts.contains("--die-with-parent") && texts.contains("--clearenv"))
    }

    @Test("the arguments are handed over by descriptor, and the command holds nothing of the host's environment")
    func command() async throws {
        let launch = try await Self.launch(.namespaces)
        #expect(launch.executable == "/usr/bin/bwrap")
        #expect(launch.command.first == .text(SandboxPlan.guardPath) && launch.command.last == .reportDescriptor)
    }

    @Test("at tier 1 the guard is run by itself, without a launcher")
    func landlock() async throws {
        let launch = try await Self.launch(.landlock, launcher: nil)
        #expect(launch.executable == "/usr/libexec/shim" && launch.arguments.isEmpty)
        let guarding = try Self.guardSpec(launch)
        #expect(!guarding.isNamespaced && guarding.isLandlocked && !guarding.filter.isEmpty)
    }

    @Test("the limit of processes is the profile's", arguments: [SandboxTier.landlock, .namespaces])
    func processes(tier: SandboxTier) async throws {
        #expect(try Self.guardSpec(try await Self.launch(tier)).processLimit == 64)
    }

    @Test("shared memory, /tmp and /var/tmp may be written by every user inside")
    func writable() async throws {
        let texts = Self.texts(try await Self.launch(.ownUser))
        for path in ["/dev/shm", "/tmp", "/var/tmp"] {
            let place = try #require(texts.firstIndex(of: path))
            #expect(texts[place - 5] == "--perms" && texts[place - 4] == "1777", "\(path)")
        }
    }

    @Test("every directory in memory has a size that the guard checks")
    func sizes() async throws {
        let launch = try await Self.launch(.namespaces)
        let checked = Set(try Self.guardSpec(launch).sizes.map(\.path))
        let texts = Self.texts(launch)
        for (place, text) in texts.enumerated() where text == "--tmpfs" {
            #expect(texts[place - 2] == "--size")
            #expect(checked.contains(texts[place + 1]), "\(texts[place + 1])")
        }
    }

    @Test("every mount of the arguments is one that the guard expects")
    func mounts() async throws {
        let launch = try await Self.launch(.ownUser, secrets: [LaunchSpec.Secret(name: "token", bytes: [1])])
        let expected = Set(try Self.guardSpec(launch).mounts)
        let texts = Self.texts(launch)
        for (place, text) in texts.enumerated() {
            let target: String? =
                switch text {
                case "--ro-bind", "--bind", "--ro-bind-data": texts[place + 2]
                case "--tmpfs", "--proc", "--dev": texts[place + 1]
                default: nil
                }
            guard let target, !target.hasPrefix("/dev/"), !target.hasPrefix("/proc/") else { continue }
            #expect(expected.contains(target), "\(target)")
        }
    }

    @Test("what the host has of its configuration is shown read-only, its directories made first")
    func configuration() async throws {
        let texts = Self.texts(try await Self.launch(.namespaces))
        let made = try #require(texts.firstIndex(of: "/etc/ssl"))
        let bound = try #require(texts.firstIndex(of: "/etc/ssl/certs"))
        #expect(made < bound && texts[bound - 1] == "--ro-bind")
        #expect(texts.contains("/etc/services"))
    }

    @Test("a workspace runs as one user of the range, mapped to 1000 inside")
    func ownUser() async throws {
        let map = try #require(try await Self.launch(.ownUser).userMap)
        #expect(map.users.map(\.outside) == [1001, 200_001] && map.users.map(\.inside) == [0, 1000])
        #expect(map.groups.map(\.outside) == [1002, 300_001])
    }

    @Test("without users to give away tier 3 is refused as the node's fault")
    func noUsers() async throws {
        let error = await #expect(throws: SandboxError.self) { try await Self.launch(.ownUser, subordinates: nil) }
        #expect(error?.isHostFault == true)
    }

    @Test("a missing launcher is the node's fault")
    func noLauncher() async throws {
        let error = await #expect(throws: SandboxError.self) { try await Self.launch(.namespaces, launcher: nil) }
        #expect(error?.isHostFault == true && error?.message.contains("bwrap") == true)
    }

    @Test("a profile that demands more than the host gives is never run weaker")
    func lowestTier() async throws {
        await #expect(throws: SandboxError.self) { try await Self.launch(.namespaces, lowest: .ownUser) }
    }

    @Test("tier 4 demands limits of memory and of processes for the whole tree")
    func limited() async throws {
        await #expect(throws: SandboxError.self) { try await Self.launch(.limited, groups: [.memory]) }
        let launch = try await Self.launch(.limited, groups: [.memory, .processes])
        #expect(launch.controlGroups.first?.limits.map(\.file).contains("memory.max") == true)
    }

    @Test("where a control group limits memory a process has no limit of its own, which sanitizers and Java need")
    func memory() async throws {
        #expect(try Self.guardSpec(try await Self.launch(.namespaces)).memoryLimit == 1 << 30)
        let grouped = try Self.guardSpec(try await Self.launch(.namespaces, groups: [.memory]))
        #expect(grouped.memoryLimit == GuardSpec.unlimited)
    }

    @Test("Unix sockets need a user of the sandbox's own, and a profile may refuse them")
    func unixSockets() async throws {
        #expect(try Self.guardSpec(try await Self.launch(.ownUser)).allowsUnixSockets)
        #expect(!(try Self.guardSpec(try await Self.launch(.ownUser, unix: false)).allowsUnixSockets))
        #expect(!(try Self.guardSpec(try await Self.launch(.namespaces)).allowsUnixSockets))
        #expect(!(try Self.guardSpec(try await Self.launch(.landlock)).allowsUnixSockets))
    }

    @Test("secrets need a root of the sandbox's own")
    func secrets() async throws {
        let secret = LaunchSpec.Secret(name: "token", bytes: [1])
        await #expect(throws: SandboxError.self) { try await Self.launch(.landlock, secrets: [secret]) }
        let launch = try await Self.launch(.namespaces, secrets: [secret])
        #expect(launch.arguments.contains(.secret("token")) && launch.secrets == [secret])
    }

    @Test("a definition's variable wins over its profile's, and that over ours")
    func environment() async throws {
        let plain = try Self.guardSpec(try await Self.launch(.namespaces)).environment
        #expect(plain["FROM"] == "profile" && plain["PATH"] == "/usr/bin:/bin" && plain["HOME"] == "/home/agent")
        let changed = try Self.guardSpec(
            try await Self.launch(.namespaces, environment: ["FROM": "definition", "PATH": "/x"])
        ).environment
        #expect(changed["FROM"] == "definition" && changed["PATH"] == "/x")
    }

    @Test("git has an author that yields to every configuration")
    func author() async throws {
        // A value in braces names another variable of the sandbox; JSON is a value as any other.
        let named = try Self.guardSpec(
            try await Self.launch(
                .namespaces, environment: ["A": "{FROM}", "B": "{NONE}", "C": #"{"a":1}"#, "D": "{}", "FROM": "x"])
        ).environment
        #expect(named["A"] == "profile" && named["B"] == nil && named["C"] == #"{"a":1}"# && named["D"] == "{}")
        #expect(try Self.guardSpec(try await Self.launch(.ownUser)).environment["EMAIL"] == "agent@localhost")
        #expect(SandboxPlan.madeFiles.contains { $0.path == "/etc/gitconfig" && $0.content.contains("name = agent") })
    }

    @Test("descriptors of a launch are given to its user, those of a caller are not")
    func descriptors() async throws {
        #expect(try Self.guardSpec(try await Self.launch(.ownUser)).ownsDescriptors)
        let direct = try await Self.launch(.ownUser, connection: .direct(terminal: nil))
        #expect(!(try Self.guardSpec(direct).ownsDescriptors))
        let terminal = try await Self.launch(.ownUser, connection: .direct(terminal: (80, 24)))
        #expect(try Self.guardSpec(terminal).ownsDescriptors)
    }

    @Test("each connection keeps only its own descriptors")
    func lastDescriptor() async throws {
        #expect(try Self.guardSpec(try await Self.launch(.namespaces)).lastDescriptor == 4)
        let agent = try await Self.launch(
            .namespaces, connection: .terminal(token: [1], orphanGrace: .seconds(9)))
        #expect(try Self.guardSpec(agent).lastDescriptor == 3)
        #expect(agent.mode == .terminal && agent.orphanGrace == 9 && agent.token == [1])
    }

    @Test("a program starts in its directory below the workspace")
    func directory() async throws {
        let launch = try await Self.launch(.namespaces, directory: "agents/x")
        #expect(try Self.guardSpec(launch).directory == "/workspace/agents/x")
    }

    @Test("a launch with a terminal keeps its session, one without gets a new one")
    func session() async throws {
        #expect(Self.texts(try await Self.launch(.namespaces)).contains("--new-session"))
        let terminal = try await Self.launch(.namespaces, connection: .terminal(token: [], orphanGrace: .zero))
        #expect(!Self.texts(terminal).contains("--new-session"))
    }
}
