import Agents
import CoreMetrics
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
import Supervision
import TransportSecurity

/// The configurations of the modules, made from the settings.
struct Context: Sendable {
    let settings: Settings
    var directories = UserDirectories.current()

    /// The absolute path of the state directory.
    var stateDirectory: String {
        let path = self.settings.text("state-directory") ?? self.directories.state
        return path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    /// The socket that answers `orchestra status`. Throws status 78 when it can have no path that is short enough.
    func statusSocket() throws -> String { try self.socketRoot() + "/status.sock" }

    /// The directory of the agents, by a path that is short enough for their sockets; throws as `statusSocket`.
    func agentsRoot() throws -> String { try self.socketRoot() + "/agents" }

    /// The state directory, by a path that is short enough for all sockets below it.
    func socketRoot() throws -> String {
        let reserve = "/agents".utf8.count + AgentDirectory.socketPathReserve
        return try ShortPath(runtimeDirectory: self.directories.runtime).path(
            of: self.stateDirectory, limit: AgentDirectory.socketPathLimit - reserve)
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

    /// The directory of the policy files: the one that is set, else `Policies` of the checkout that this executable was
    /// built in, else the installed one. `orchestra dev` also takes `./Policies`, so that it runs in a checkout. Throws
    /// status 78 when there is none.
    func policiesDirectory(acceptsCurrent: Bool = false) throws -> String {
        if let path = self.settings.text("policies-directory") { return path }
        let build = URL(fileURLWithPath: Host.executableDirectory)
        let checkout = build.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
        let current = acceptsCurrent ? [FileManager.default.currentDirectoryPath + "/Policies"] : []
        let candidates = [checkout + "/Policies"] + current + ["/usr/share/orchestra/Policies"]
        guard let found = candidates.first(where: { Host.exists($0 + "/actions") }) else {
            throw CommandError.configuration(
                "there is no policy directory: expected \(candidates.joined(separator: " or ")), or a path in ORCHESTRA_POLICIES_DIRECTORY"
            )
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
        } else if let problem = Exposure.plainRedis(redis), self.isRefused(problem) {
            throw CommandError.configuration(problem.refusal)
        }
        return redis
    }

    /// The address and the port of the probe server. Throws status 78 in production when other machines reach it.
    func probe() throws -> (host: String, port: Int) {
        let host = try self.settings.required("probe.host")
        if let problem = Exposure.publicProbe(host), self.isRefused(problem) {
            throw CommandError.configuration(problem.refusal)
        }
        return (host, try self.settings.integer("probe.port"))
    }

    /// What these settings expose to other machines, for warnings; throws as `redis` and `probe`.
    func exposures() throws -> [Exposure] {
        let redis = try self.redis()
        var isLocal = false
        if case .tcp(let host, _) = redis.endpoint { isLocal = Loopback.contains(host) }
        return [isLocal ? nil : Exposure.plainRedis(redis), Exposure.publicProbe(try self.probe().host)]
            .compactMap { $0 }
    }

    private func isRefused(_ problem: Exposure) -> Bool {
        self.settings.isProduction && !self.settings.isOn(problem.key)
    }

    func limits() throws -> QueueLimits {
        QueueLimits(
            retention: try self.settings.seconds("queue.retention"),
            streamLength: try self.settings.integer("queue.stream-limit"),
            lease: try self.settings.seconds("queue.lease"), homes: try self.homes())
    }

    private func homes() throws -> HomePolicy {
        if self.settings.isOn("workspaces.shared") { return .shared }
        if try self.settings.required("workspaces.home-lost") == "wait" { return .wait }
        // What another home begins with is its node's business.
        return .move(after: try self.settings.seconds("workspaces.home-timeout"))
    }

    /// The directory with the copies of the workspaces' files; nil when none are made. Throws status 78 when one setting of
    /// them lacks the other.
    func copiesDirectory() throws -> String? {
        let isOn =
            try !self.settings.isOn("workspaces.shared")
            && self.settings.required("workspaces.home-lost") == "copy"
        let path = self.settings.text("workspaces.copies")
        guard isOn == (path != nil) else {
            throw CommandError.configuration(
                isOn
                    ? "workspaces.home-lost is copy; expected a directory that all nodes share in workspaces.copies"
                    : "workspaces.copies is set; expected workspaces.home-lost=copy and not workspaces.shared")
        }
        return path.map { $0.hasPrefix("/") ? $0 : "\(FileManager.default.currentDirectoryPath)/\($0)" }
    }

    func masterKey() throws -> SealingKey {
        guard let secret = self.settings.secret("master-key") else {
            throw CommandError.configuration(
                "no master key is set; expected 64 hexadecimal digits in ORCHESTRA_MASTER_KEY or a file named by ORCHESTRA_MASTER_KEY_FILE (make one with: openssl rand -hex 32)"
            )
        }
        return try secret.expose { text in
            guard let bytes = Hexadecimal.bytes(of: text), bytes.count == 32 else {
                throw CommandError.configuration("the master key is malformed; expected 64 hexadecimal digits")
            }
            return try SealingKey(bytes: bytes)
        }
    }

    /// The configuration of the agents; throws as `agentsRoot`, and status 69 when a program is missing.
    func agents() throws -> AgentConfiguration {
        var configuration = AgentConfiguration(
            root: try self.agentsRoot(), workspaces: self.stateDirectory + "/workspaces", shim: try Host.shim(),
            tmux: try Host.program("tmux", package: "tmux"),
            plan: try self.sandbox(), orphanGrace: try self.settings.seconds("queue.lease"),
            secrets: SecretStore(
                root: self.settings.text("secrets-directory") ?? self.stateDirectory + "/secrets"))
        configuration.retention = try self.settings.seconds("agents.retention")
        return configuration
    }

    /// The configuration of the agents at the tier that this host supports, and how that was measured.
    func measuredAgents() async throws -> (AgentConfiguration, SandboxMeasure) {
        var configuration = try self.agents()
        let measure = try await self.measure(configuration)
        configuration.plan = configuration.plan.at(measure.tier)
        return (configuration, measure)
    }

    /// Tries the tier that is set, or each from the strongest down until one holds; with `all` every one of them.
    func measure(_ configuration: AgentConfiguration, all: Bool = false) async throws -> SandboxMeasure {
        let isSet = try self.settings.required("sandbox.tier") != "auto"
        let workspace = try Host.privateDirectory(self.stateDirectory + "/sandbox-check")
        return await SandboxMeasure.run(
            configuration, tiers: isSet ? [configuration.plan.tier] : [.limited, .ownUser, .namespaces, .landlock],
            workspace: workspace, processID: getpid(), all: all)
    }

    /// The sandbox at the tier that is set, or at the highest; what the host supports is measured later.
    private func sandbox() throws -> SandboxPlan {
        let host = SandboxHost(
            launcher: Host.find("bwrap"), shim: try Host.shim(), program: Host.find, controlGroups: .delegated(),
            tools: self.settings.text("agents.tools"))
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
        // Also what the process knows must not be logged, whatever its form.
        let known = SettingKey.all.filter(\.isSecret).compactMap { self.settings.secret($0.name) }
        let rules = RedactionRules(known: known.map { $0.expose { Array($0.utf8) } })
        return Logger(label: "orchestra") { _ in
            JSONLogHandler(
                component: "orchestra", level: level, rules: rules, now: { RFC3339.text(of: Host.wallMilliseconds()) },
                write: write)
        }
    }

    /// The way to the queue for one user of it; does nothing until its connections are run.
    func queueAccess(_ role: QueueAccess.Role, metrics: any MetricsFactory, logger: Logger) throws -> QueueAccess {
        try QueueAccess(
            redis: try self.redis(), lanes: try self.settings.integer("queue.lanes"), limits: try self.limits(),
            master: try self.masterKey(), role: role, group: .singleton, metrics: metrics, logger: logger,
            elapsed: SupervisionEnvironment.monotonicNow, wall: { Host.wallMilliseconds() })
    }
}
