import Agents
import CLinux
import Domain
import Foundation
import Jobs
import Sandboxing
import ShimProtocol
import TestSupport
import Testing

/// Real sandboxes at every tier: they hold, and each of their layers is missed when it is gone.
@Suite("The sandbox", .serialized, .enabled(if: !isRoot, "sandboxes are tried as an ordinary user"))
struct SandboxTests {
    /// Tiers that this machine is set up for by `ops/`; the third needs users to give away, the fourth control groups too.
    static let tiers: [SandboxTier] =
        TestSandbox.plan(.ownUser, directory: "/tmp").host.subordinates == nil
        ? [.landlock, .namespaces]
        : [.landlock, .namespaces, .ownUser] + (TestSandbox.groups.canLimit ? [.limited] : [])

    private static func configuration(_ tier: SandboxTier, _ directory: String) throws -> AgentConfiguration {
        try FileManager.default.createDirectory(atPath: directory + "/w", withIntermediateDirectories: true)
        return AgentConfiguration(
            root: directory + "/a", workspaces: directory + "/w", shim: buildDirectory + "/orchestra-shim",
            tmux: "/usr/bin/tmux", plan: TestSandbox.plan(tier, directory: directory), orphanGrace: .seconds(5),
            secrets: SecretStore(root: directory + "/secrets"))
    }

    @Test("this machine gives every tier that its set-up promises", arguments: Self.tiers)
    func measured(tier: SandboxTier) async throws {
        try await withDirectory { directory in
            let configuration = try Self.configuration(tier, directory)
            let measure = await SandboxMeasure.run(
                configuration, tiers: [tier], workspace: directory + "/w", processID: getpid())
            #expect(measure.tier == tier, "\(measure.trials)")
        }
    }

    @Test("no known way out works", arguments: Self.tiers)
    func holds(tier: SandboxTier) async throws {
        try await withDirectory { directory in
            let results = try await EscapeTest(
                configuration: try Self.configuration(tier, directory), profile: .measured,
                directory: directory + "/t", processID: getpid()
            ).run()
            #expect(results.count == EscapeAttempt.all.count)
            for result in results { #expect(result.holds, "\(result.attempt.name): \(result.evidence ?? "")") }
            let left = try FileManager.default.contentsOfDirectory(atPath: directory + "/t")
            #expect(left.isEmpty)
        }
    }

    @Test(
        "a way out by the listener opens no other", arguments: Self.tiers.filter { $0 >= .namespaces }.suffix(1))
    func holdsWithEgress(tier: SandboxTier) async throws {
        try await withDirectory { directory in
            let configuration = try Self.configuration(tier, directory)
            let (plan, name) = (configuration.plan, try DefinitionName("web"))
            let measured = SandboxProfile.measured
            let profile = SandboxProfile(
                name: name, summary: "x", lowestTier: .namespaces, processLimit: measured.processLimit,
                openFileLimit: measured.openFileLimit, fileSizeLimit: measured.fileSizeLimit,
                memoryLimit: measured.memoryLimit, treeMemoryLimit: measured.treeMemoryLimit,
                temporarySize: measured.temporarySize, homeSize: measured.homeSize, environment: [:],
                readOnlyPaths: [], egress: [name])
            let hello = EgressHello(
                workspace: try WorkspaceID("acme"), job: JobID(milliseconds: 1, randomHigh: 2, randomLow: 3), launch: 1,
                profile: name)
            let endpoint = EgressAccess.Endpoint(socket: directory + "/egress.sock", models: [:])
            let test = EscapeTest(
                configuration: configuration, profile: profile, directory: directory + "/t", processID: getpid(),
                launch: {
                    try plan.launch(
                        $0, environment: $1, profile: profile, workspace: $2, connection: $3,
                        egress: EgressAccess(hello, at: endpoint))
                })
            for result in try await test.run() {
                #expect(result.holds, "\(result.attempt.name): \(result.evidence ?? "")")
            }
        }
    }

    /// What gets out where nothing holds it, on any machine, and ends none but the test's own processes.
    private static let surely: Set<String> = [
        "read a file outside", "read it by a symbolic link", "open a directory outside to others",
        "cut a file outside off", "write a file outside", "rename a file to the outside",
        "leave a set-uid program", "read environments", "read command lines", "kill a process outside",
        "a socket by its path", "an abstract socket", "TCP on loopback", "UDP", "every family", "tmux by its socket",
        "shared memory of System V", "shared memory in files", "a user namespace", "rings of io_uring",
    ]

    @Test("the attempts get out where there is no sandbox, and are seen")
    func attemptsWork() async throws {
        try await withDirectory { directory in
            // Where the workspace keeps its path.
            let configuration = try Self.configuration(.landlock, directory)
            for name in Self.surely.sorted() {
                let results = try await EscapeTest(
                    configuration: configuration, profile: .measured, directory: directory + "/t", processID: getpid()
                ) { argv, environment, workspace, connection in
                    let variables = environment.map { "\($0.key)=\($0.value)" }
                    var spec = LaunchSpec(
                        mode: .command, executable: "/usr/bin/env", arguments: [],
                        command: (["-C", workspace, "PATH=/usr/bin:/bin"] + variables + argv).map { .text($0) })
                    if case .command(_, let limit, let owner) = connection {
                        spec.outputLimit = UInt32(limit)
                        spec.ownerPID = owner
                    }
                    return spec
                }.run({ $0.name == name })
                #expect(results.count == 1)
                #expect(results.allSatisfy { !$0.holds }, "\(name) was not seen")
            }
        }
    }

    @Test("a node is not ready, claims nothing and runs no program before its own escape test has passed")
    func gate() async throws {
        try await Installation.with { installation in
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"],
                environment: installation.environment(node: "n1").merging(["ORCHESTRA_SANDBOX_SELFTEST": "start"]) {
                    $1
                },
                log: installation.directory + "/n1.log")
            try await installation.start(node)
            let job = try await installation.submit("shell.run", ["command": "true"])
            let status = try await installation.command(["status"])
            #expect(status.output.contains("the escape test runs") && status.output.contains("not ready"), "\(status)")
            #expect(try await installation.record(job).state == .available)
            let record = try await installation.ended(job, within: .seconds(400))
            #expect(record.state == .completed)
            #expect(await node.output.contains("no known way out of the sandbox works"))
            let after = try await installation.command(["status"]).output
            #expect(after.contains("\(EscapeAttempt.all.count) attempts to leave it held"))
        }
    }

    @Test("a program runs by hand as an agent does: its output, its status, its terminal", arguments: Self.tiers)
    func exec(tier: SandboxTier) async throws {
        try await withDirectory { directory in
            let workspace = directory + "/w"
            let policies = directory + "/p"
            try FileManager.default.createDirectory(atPath: workspace, withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: policies)
            // Without namespaces the limit of processes counts all of this user's, other tests' among them.
            let weak =
                #"{"name": "weak", "summary": "any tier", "lowest_tier": 1, "process_memory_mib": 64, "tree_memory_mib": 64, "processes": 8192}"#
            try Data(weak.utf8).write(to: URL(fileURLWithPath: policies + "/sandbox/weak.json"))
            func run(_ script: String, profile: String = "weak", tty: Bool = false) async throws -> (
                code: Int32, output: String, errors: String
            ) {
                try await runProgram(
                    buildDirectory + "/orchestra",
                    [
                        "sandbox", "exec", "--tier", String(tier.rawValue), "--profile", profile, "--workspace",
                        workspace,
                    ]
                        + (tty ? ["--tty"] : []) + ["--", "/bin/bash", "-c", script],
                    environment: [
                        "HOME": directory, "ORCHESTRA_POLICIES_DIRECTORY": policies,
                        "ORCHESTRA_STATE_DIRECTORY": directory + "/s", "PATH": "/usr/bin:/bin", "SECRET": "planted",
                    ])
            }
            let plain = try await run("echo out; echo err >&2; touch made; env; exit 7")
            #expect(plain.code == 7 && plain.output.hasPrefix("out\n") && plain.errors.contains("err"))
            #expect(!plain.output.contains("planted"))
            #expect(FileManager.default.fileExists(atPath: workspace + "/made"))
            // The node may take away what its sandbox made there.
            try FileManager.default.removeItem(atPath: workspace + "/made")
            #expect(try await run("kill -KILL $$").code == 128 + 9)
            // A process that wants all memory ends alone: its shell goes on. And the host would end it first.
            let greedy = try await run(
                "bash -c 'x=$(head -c 200M /dev/zero | tr \\\\0 x)'; echo status $?; cat /proc/self/oom_score_adj 2>/dev/null; true"
            )
            #expect(greedy.output.contains("status") && !greedy.output.contains("status 0"), "\(greedy)")
            if tier >= .namespaces { #expect(greedy.output.contains("\n1000\n")) }
            // Job control works: it is in the foreground of a terminal, and a stopped job is continued.
            let terminal = try await run(
                "set -m; tty >/dev/null || exit 3; sleep 0.2 & fg >/dev/null && stty size && echo done", tty: true)
            #expect(terminal.code == 0, "\(terminal)")
            #expect(terminal.output.contains("24 80") && terminal.output.contains("done"), "\(terminal)")
            if tier < .namespaces {
                let refused = try await run("touch made", profile: "default")
                #expect(refused.code == 69 && refused.errors.contains("asks for tier 2"))
                #expect(!FileManager.default.fileExists(atPath: workspace + "/made"))
            }
        }
    }

    /// A layer that is taken away, and the one of the guard's checks that must miss it.
    struct Mutation: Sendable, CustomTestStringConvertible {
        let name: String
        var tier = SandboxTier.namespaces
        let missed: String
        let change: @Sendable (inout LaunchSpec) throws -> Void

        var testDescription: String { self.name }

        /// Takes these arguments away where they stand one after another.
        static func without(_ arguments: String..., tier: SandboxTier = .namespaces, missed: String) -> Mutation {
            Mutation(name: "without \(arguments.joined(separator: " "))", tier: tier, missed: missed) { spec in
                let wanted = arguments.map { LaunchSpec.Argument.text($0) }
                let start = try #require(
                    spec.arguments.indices.first { spec.arguments[$0...].starts(with: wanted) })
                spec.arguments.removeSubrange(start..<start + wanted.count)
            }
        }

        static func with(_ arguments: String..., missed: String) -> Mutation {
            Mutation(name: "with \(arguments.joined(separator: " "))", missed: missed) { spec in
                let end = try #require(spec.arguments.firstIndex(of: .text("--remount-ro")))
                spec.arguments.insert(contentsOf: arguments.map { .text($0) }, at: end)
            }
        }

        static func guardSpec(
            _ name: String, tier: SandboxTier = .namespaces, missed: String,
            _ change: @escaping @Sendable (inout GuardSpec) -> Void
        ) -> Mutation {
            Mutation(name: name, tier: tier, missed: missed) { spec in
                let place = try #require(
                    spec.command.firstIndex { if case .data = $0 { true } else { false } }, "the guard has no file")
                guard case .data(let bytes) = spec.command[place] else { return }
                var guarding = try GuardSpec(decoding: bytes)
                change(&guarding)
                spec.command[place] = .data(guarding.encoded)
            }
        }
    }

    static let mutations: [Mutation] = [
        .without("--unshare-net", missed: "network"), .without("--unshare-pid", missed: "namespaces"),
        .without("--unshare-ipc", missed: "namespaces"), .without("--unshare-uts", missed: "--unshare-uts"),
        .without("--unshare-cgroup", missed: "namespaces"), .without("--remount-ro", "/", missed: "read-only-root"),
        .without("--remount-ro", "/dev", missed: "read-only-root"),
        .without("--size", String(SandboxProfile.measured.temporarySize), missed: "sizes"),
        .with("--bind", "/tmp", "/run/host", missed: "mounts"), .with("--ro-bind", "/", "/run/host", missed: "mounts"),
        .with("--bind", "/usr", "/usr", missed: "read-only-root"), .with("--cap-add", "ALL", missed: "capabilities"),
        Mutation(name: "without the filter", missed: "refused-calls") { spec in
            let start = try #require(spec.arguments.firstIndex(of: .text("--seccomp")))
            spec.arguments.removeSubrange(start...start + 1)
        },
        .guardSpec("without a limit of processes", missed: "limits") { $0.processLimit = 0 },
        .guardSpec("without a limit of memory", missed: "limits") { $0.memoryLimit = 0 },
        .guardSpec("with rules that allow all", missed: "landlock") { $0.rules = [GuardSpec.Rule("/", .write)] },
        .guardSpec("with its network shared", missed: "namespaces") { spec in
            let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/time")) ?? ""
            spec.namespaces.append(GuardSpec.Namespace(name: "time", link: own))
        },
        .guardSpec("at tier 1 without the filter", tier: .landlock, missed: "filter") { $0.filter = [] },
        .guardSpec("at tier 1 with rules that allow all", tier: .landlock, missed: "landlock") {
            $0.rules.append(GuardSpec.Rule("/", .write))
        },
        Mutation(name: "without a control group", tier: .limited, missed: "cannot be made") { spec in
            let group = try #require(spec.controlGroups.first)
            spec.controlGroups.append(
                LaunchSpec.ControlGroup(
                    parent: group.parent + "/nowhere", isUnified: group.isUnified, limits: group.limits))
        },
        Mutation(name: "without a limit in its control group", tier: .limited, missed: "cannot be set") { spec in
            let group = try #require(spec.controlGroups.first)
            let limit = LaunchSpec.ControlGroup.Limit(file: "cgroup.procs", value: "none", isOptional: false)
            spec.controlGroups[0] = LaunchSpec.ControlGroup(
                parent: group.parent, isUnified: group.isUnified, limits: group.limits + [limit])
        },
        .guardSpec("at tier 3 with rules that allow all", tier: .ownUser, missed: "landlock") {
            $0.rules = [GuardSpec.Rule("/", .write)]
        },
        Mutation(name: "as another user than promised", tier: .ownUser, missed: "own-user") { spec in
            let map = try #require(spec.userMap)
            let users = map.users.map {
                LaunchSpec.Mapping(inside: $0.inside, outside: $0.inside == 0 ? $0.outside : $0.outside + 1, count: 1)
            }
            spec.userMap = LaunchSpec.UserMap(
                userMapper: map.userMapper, groupMapper: map.groupMapper, users: users, groups: map.groups)
        },
    ].filter { SandboxTests.tiers.contains($0.tier) }

    @Test("a launch that lacks a layer is refused, and the layer is named", arguments: Self.mutations)
    func refused(mutation: Mutation) async throws {
        try await withDirectory { directory in
            let configuration = try Self.configuration(mutation.tier, directory)
            let runner = CommandRunner(configuration: configuration, processID: getpid())
            func launch(_ command: String) throws -> LaunchSpec {
                try configuration.plan.launch(
                    ["/bin/bash", "-c", command], profile: .measured, workspace: directory + "/w",
                    connection: .command(input: [], outputLimit: 4096, ownerPID: getpid()))
            }
            // The same launch with all layers runs.
            let whole = try await runner.run(try launch("echo ran"))
            #expect(whole.isSuccess && String(decoding: whole.output, as: UTF8.self) == "ran\n")
            var spec = try launch("touch ran")
            try mutation.change(&spec)
            do {
                let record = try await runner.run(spec)
                Issue.record("it ran: \(record)")
            } catch let error as AgentError {
                // The host does not give what is demanded; another node may.
                #expect(error.code == .hostUnavailable)
                #expect(error.message.contains(mutation.missed), "\(error.message)")
            }
            #expect(!FileManager.default.fileExists(atPath: directory + "/w/ran"))
        }
    }
}
