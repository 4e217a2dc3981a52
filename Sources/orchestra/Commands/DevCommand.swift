import ArgumentParser
import CoreMetrics
import Credentials
import Cryptography
import Domain
import Intake
import Foundation
import Jobs
import Logging
import Policy
import Redis
import Sandboxing
import Telemetry
import Worker

/// `orchestra dev`: a node with a Redis of its own.
struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev", abstract: "Runs a whole node on this machine, with a Redis of its own.",
        discussion: """
            Starts a private redis-server on a Unix socket (append-only file, no eviction) and one node, prints
            their addresses, and runs until ^C, SIGTERM, or the end of its terminal or of the reader of its output. All
            files are in the state directory; no process is left behind. With --redis-url or REDIS_URL the node uses
            that Redis instead. Client commands without a configuration of their own use this node; a worker does not.

            EXAMPLES
              orchestra dev
              orchestra dev --demo
              REDIS_URL=redis://127.0.0.1:6379/0 orchestra dev
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "Uses this Redis instead of a private one (also REDIS_URL).") var redisURL: String?
    @Option(help: "The probe port, 0 for a free one (also ORCHESTRA_PROBE_PORT).") var probePort: String?
    @Flag(help: "Submits a demonstration job and prints its states and its terminal.") var demo = false

    /// The actions that `dev` allows unless ALLOW_ACTIONS_DEFAULT is set, also to nothing; a worker allows none by default.
    static let allowed = "shell.run,agent.run,queue.noop"

    /// Where `dev` serves the API unless ORCHESTRA_API_LISTEN is set: a free port of the loopback interface.
    static let apiAddress = "127.0.0.1:0"

    func run() async throws {
        try await reporting {
            try Host.refuseRoot()
            withoutCrashReports()
            try Host.hardenProcess()
            Host.shortenNameLookups()
            let outer = try self.common.nodeContext()
            let dev = DevNode(base: try Host.privateDirectory(outer.stateDirectory))
            let state = try Host.privateDirectory(dev.directory)
            try Host.lock(state + "/dev.lock", what: "orchestra dev")
            let stop = StopRequest()
            let screen = LogSink(dropped: Counter(label: "dev", factory: NOOPMetricsHandler.instance)) { line in
                let error = Output.write(line, to: STDOUT_FILENO)
                if error != 0 { stop.request(because: error) }
                return error == 0
            }
            screen.startThread()
            Self.watchReader(stop)
            do {
                try await self.run(outer, dev, DevScreen { screen.write(Array(($0 + "\n").utf8)) }, stop)
            } catch {
                await screen.finish(within: .seconds(2))
                throw error
            }
            await screen.finish(within: .seconds(2))
            if stop.error != 0 { Output.end(stop.error) }
        }
    }

    /// Requests a stop when the reader of the output ends. Lines that were printed before do not show that it did.
    private static func watchReader(_ stop: StopRequest) {
        Thread.detachNewThread {
            var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
            while unsafe poll(&output, 1, -1) < 0 && errno == EINTR {}
            if output.revents & Int16(POLLERR) != 0 { stop.request(because: EPIPE) }
        }
    }

    private func run(_ outer: Context, _ dev: DevNode, _ screen: DevScreen, _ stop: StopRequest) async throws {
        let state = dev.directory
        let external =
            self.redisURL ?? outer.directories.environment["REDIS_URL"].flatMap { $0.isEmpty ? nil : $0 }
        var context = try self.devContext(outer, state: state, redisURL: external ?? "")
        var redis: EmbeddedRedis?
        if external == nil {
            let server = try self.embeddedRedis(context)
            redis = server
            context = try self.devContext(outer, state: state, redisURL: server.url)
        }
        try await Preflight.run(context, checkRedis: redis == nil) { screen.show("warning: \($0)") }
        let policy = try context.policy()
        for name in ["agents", "workspaces"] { _ = try Host.privateDirectory("\(state)/\(name)") }
        try self.leaveConfiguration(context, dev)
        let metrics = MetricsRegistry()
        let log = try LogSink.appending(
            to: state + "/orchestra.log",
            dropped: Counter(label: "orchestra_log_lines_dropped_total", factory: metrics))
        let (client, server, isDemo) = (context, redis, self.demo)
        let runner = NodeRunner(
            context: context, policy: policy, master: try context.masterKey(), metrics: metrics,
            logger: try context.logger { log.write($0) }, server: server.map { [$0.child] } ?? [], stopRequest: stop,
            joined: { probe, api in
                do {
                    let key = try await screen.announce(client, probe: probe, api: api, redis: server)
                    if isDemo { await screen.demonstrate(client) }
                    try screen.announceNext(client, api: api, key: key)
                } catch {
                    screen.show("error: \(CommandError(error).message)")
                }
            })
        try await runner.run()
        await log.finish(within: .seconds(2))
        screen.show("stopped; no process is left behind")
    }

    private func embeddedRedis(_ context: Context) throws -> EmbeddedRedis {
        EmbeddedRedis(
            executable: try Host.program("redis-server", package: "redis-server"),
            directory: try Host.privateDirectory(context.stateDirectory + "/redis"),
            socket: try context.socketRoot() + "/redis/redis.sock")
    }

    /// The effective settings of the node: those of the user, also the empty ones, then the defaults of `dev`.
    private func devContext(_ outer: Context, state: String, redisURL: String) throws -> Context {
        var flags: [String: String] = [:]
        for key in SettingKey.all where outer.settings.source(of: key.name) != "default" {
            flags[key.name] = outer.settings.value(key.name)
        }
        flags["state-directory"] = state
        flags["redis.url"] = redisURL
        flags["probe.port"] = self.probePort ?? flags["probe.port"]
        flags["node.name"] = flags["node.name"] ?? "dev"
        flags["api.listen"] = flags["api.listen"] ?? Self.apiAddress
        flags["allow-actions-default"] = flags["allow-actions-default"] ?? Self.allowed
        flags["master-key"] = try flags["master-key"] ?? self.masterKey(state + "/master.key")
        flags["policies-directory"] = try outer.policiesDirectory(acceptsCurrent: true)
        return Context(
            settings: try Settings(flags: flags, environment: [:], file: nil), directories: outer.directories)
    }

    private func masterKey(_ path: String) throws -> String {
        if Host.exists(path) {
            return try InputFile.text(try InputFile.read(path, limit: 1024), of: path)
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let key = Hexadecimal.text(of: try Digests.randomBytes(count: 32))
        try Host.writePrivate(path, key + "\n")
        return key
    }

    /// Leaves the file with which client commands reach this node, mode 0600: the master key is in it.
    private func leaveConfiguration(_ context: Context, _ dev: DevNode) throws {
        let names = [
            "redis.url", "redis.username", "redis.password", "state-directory", "allow-actions-default", "master-key",
            "policies-directory",
        ]
        let members = names.compactMap { name in context.settings.value(name).map { JSONMember(name, .string($0)) } }
        try Host.writePrivate(dev.configurationFile, JSONValue.object(members).text + "\n")
    }
}
