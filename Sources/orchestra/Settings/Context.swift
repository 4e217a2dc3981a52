import Agents
import Cryptography
import Domain
import Foundation
import Jobs
import Logging
import NIOPosix
import Policy
import Redaction
import Redis
import Sandboxing
import TransportSecurity
import Worker

/// What the commands make of the settings: the modules' own configurations.
struct Context: Sendable {
    let settings: Settings

    var stateDirectory: String {
        self.settings.text("state-directory") ?? Context.defaultStateDirectory(ProcessInfo.processInfo.environment)
    }

    /// Where the node tells its status; the agents' sockets below the same directory have longer names.
    var statusSocket: String { self.stateDirectory + "/status.sock" }

    static func defaultStateDirectory(_ environment: [String: String]) -> String {
        let base = environment["XDG_STATE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
        return (base ?? NSHomeDirectory() + "/.local/state") + "/orchestra"
    }

    func workspace() throws -> WorkspaceID { try WorkspaceID(try self.settings.required("workspace")) }

    func node() throws -> NodeID {
        do throws(DomainError) {
            return try NodeID(self.settings.text("node.name") ?? Host.hostName())
        } catch {
            throw CommandError.configuration("node.name: \(error.message)")
        }
    }

    func policy() throws -> PolicyEngine {
        let bundle = try PolicyFiles.load(try self.policiesDirectory())
        do throws(DomainError) {
            return PolicyEngine(bundle: bundle, allowed: try AllowList(self.settings.text("allow-actions-default")))
        } catch {
            throw CommandError.configuration("ALLOW_ACTIONS_DEFAULT: \(error.message)")
        }
    }

    func policiesDirectory() throws -> String {
        if let path = self.settings.text("policies-directory") { return path }
        let checkout = URL(fileURLWithPath: Host.executableDirectory).deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent().path
        let candidates = [
            FileManager.default.currentDirectoryPath + "/Policies", checkout + "/Policies",
            "/usr/share/orchestra/Policies",
        ]
        guard let found = candidates.first(where: { Host.exists($0 + "/actions") }) else {
            throw CommandError.configuration(
                "no policy directory was found; expected ./Policies or a path in ORCHESTRA_POLICIES_DIRECTORY")
        }
        return found
    }

    func redis() throws -> RedisConfiguration {
        var redis = try RedisConfiguration(url: try self.settings.required("redis.url"))
        if let user = self.settings.text("redis.username") { redis.username = user }
        if let password = self.settings.secret("redis.sentinel.password") {
            redis.sentinelPassword = password.expose { $0 }
        }
        if let password = self.settings.secret("redis.password") { redis.password = password.expose { $0 } }
        if var tls = redis.tls {
            tls.authorityFile = self.settings.text("redis.tls.ca-file")
            tls.certificateFile = self.settings.text("redis.tls.certificate-file")
            tls.privateKeyFile = self.settings.text("redis.tls.key-file")
            if try self.settings.required("redis.tls.minimum-version") == "1.2" { tls.minimumVersion = .tls12 }
            for pin in (self.settings.text("redis.tls.pins") ?? "").split(separator: ",") {
                guard let digest = Hexadecimal.bytes(of: pin.trimmingCharacters(in: .whitespaces)), digest.count == 32
                else {
                    throw CommandError.configuration(
                        "redis.tls.pins: expected SHA-256 digests of 64 hexadecimal digits")
                }
                tls.pins.append(digest)
            }
            redis.tls = tls
        } else if case .tcp = redis.endpoint, try self.settings.required("environment") == "production" {
            throw CommandError.configuration(
                "ENV is production and REDIS_URL is plain redis://; expected rediss:// (or unix://) so that jobs travel encrypted"
            )
        }
        return redis
    }

    func limits() throws -> QueueLimits {
        QueueLimits(
            retention: try self.settings.seconds("queue.retention"),
            streamLength: try self.settings.integer("queue.stream-limit"),
            lease: try self.settings.seconds("queue.lease"))
    }

    /// The lanes that the queue is divided into.
    func lanes() throws -> [Lane] { (0..<(try self.settings.integer("queue.lanes"))).map { Lane(number: $0) } }

    func masterKey() throws -> SealingKey {
        guard let secret = self.settings.secret("master-key") else {
            throw CommandError.configuration(
                "no master key is set; expected 64 hexadecimal digits in ORCHESTRA_MASTER_KEY or a file named by ORCHESTRA_MASTER_KEY_FILE (make one with: openssl rand -hex 32)"
            )
        }
        return try secret.expose { text in
            guard let bytes = Hexadecimal.bytes(of: text), bytes.count == 32 else {
                throw CommandError.configuration("the master key is not usable; expected 64 hexadecimal digits")
            }
            return try SealingKey(bytes: bytes)
        }
    }

    /// The agents' configuration; checks that sockets below the state directory have names short enough.
    func agents() throws -> AgentConfiguration {
        let root = self.stateDirectory + "/agents"
        guard root.utf8.count + AgentDirectory.socketPathReserve <= AgentDirectory.socketPathLimit else {
            throw CommandError.configuration(
                "the state directory \(self.stateDirectory) has a path too long for the agents' sockets; expected at most \(AgentDirectory.socketPathLimit - AgentDirectory.socketPathReserve - 7) bytes in ORCHESTRA_STATE_DIRECTORY"
            )
        }
        var configuration = AgentConfiguration(
            root: root, workspaces: self.stateDirectory + "/workspaces", shim: try Host.shim(),
            tmux: try Host.program("tmux", package: "tmux"),
            plan: try self.sandbox(), orphanGrace: try self.settings.seconds("queue.lease"),
            secrets: SecretStore(
                root: self.settings.text("secrets-directory") ?? self.stateDirectory + "/secrets"))
        configuration.retention = try self.settings.seconds("agents.retention")
        return configuration
    }

    /// The agents' configuration with the tier that this host was found to give.
    func measuredAgents() async throws -> (AgentConfiguration, SandboxMeasure) {
        var configuration = try self.agents()
        let measure = try await self.measure(configuration)
        configuration.plan = configuration.plan.at(measure.tier)
        return (configuration, measure)
    }

    /// Tries the tier that is set, or each from the strongest down; with `all` every one of them.
    func measure(_ configuration: AgentConfiguration, all: Bool = false) async throws -> SandboxMeasure {
        let isSet = try self.settings.required("sandbox.tier") != "auto"
        let workspace = try Host.privateDirectory(self.stateDirectory + "/sandbox-check")
        return await SandboxMeasure.run(
            configuration, tiers: isSet ? [configuration.plan.tier] : [.limited, .ownUser, .namespaces, .landlock],
            workspace: workspace, processID: getpid(), all: all)
    }

    /// The sandbox at the tier that is set, or at the highest that this host may give; what it gives is measured later.
    private func sandbox() throws -> SandboxPlan {
        let host = SandboxHost(
            launcher: Host.find("bwrap"), shim: try Host.shim(), program: Host.find, controlGroups: .delegated())
        let tier: SandboxTier
        switch try self.settings.required("sandbox.tier") {
        case "auto": tier = .limited
        case let text:
            guard let number = Int(text), let set = SandboxTier(rawValue: number), set > .none else {
                throw CommandError.configuration(
                    "sandbox.tier: expected auto, 1, 2, 3 or 4, not '\(Printable.text(text))'")
            }
            tier = set
        }
        return SandboxPlan(
            host: host, tier: tier,
            slots: UserSlots(path: self.stateDirectory + "/users", shared: try UserSlots.sharedPath()))
    }

    func logger(write: @escaping @Sendable ([UInt8]) -> Void) throws -> Logger {
        let level = Logger.Level(rawValue: try self.settings.required("log.level")) ?? .info
        return Logger(label: "orchestra") { _ in
            JSONLogHandler(component: "orchestra", level: level, now: { Context.timestamp() }, write: write)
        }
    }

    /// RFC 3339 in UTC with milliseconds.
    static func timestamp() -> String {
        Date().formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    }
}

/// A client of the queue for one command: connects, runs the body, disconnects.
struct QueueSession: Sendable {
    let queue: any JobStore
    let keys: WorkspaceKeyring
    let master: SealingKey
    /// The connection of the first lane, beside which credentials lie.
    let first: RedisClient

    /// Throws status 69 when Redis cannot be reached within its connect timeout.
    static func with<Result: Sendable>(
        _ context: Context, _ body: @escaping @Sendable (QueueSession) async throws -> Result
    ) async throws -> Result {
        let group = MultiThreadedEventLoopGroup.singleton
        let redis = try context.redis()
        let master = try context.masterKey()
        let limits = try context.limits()
        // The first connection is tried once, so that a wrong password or certificate is said at once.
        let probe = try await RedisConnection.connect(to: redis, group: group)
        await probe.close()
        let quiet = Logger(label: "orchestra") { _ in SwiftLogNoOpLogHandler() }
        let clients = try context.lanes().map { lane in
            let aimed = redis.serving(hashTag: lane.hashTag)
            return (
                commands: RedisClient(configuration: aimed, group: group, logger: quiet),
                blocking: RedisClient(configuration: aimed, group: group, logger: quiet)
            )
        }
        let queue = try LanedJobStore(clients: clients, limits: limits)
        guard let first = clients.first?.commands else { throw CommandError(.gaveUp, "the queue has no lanes") }
        let session = QueueSession(
            queue: queue, keys: WorkspaceKeyring(queue: queue, master: master), master: master, first: first)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            for client in clients.flatMap({ [$0.commands, $0.blocking] }) {
                group.addTask {
                    await client.run()
                    return nil
                }
            }
            group.addTask { try await body(session) }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CommandError(.gaveUp, "the connection to Redis ended")
        }
    }
}
