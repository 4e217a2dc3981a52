import Jobs
import ArgumentParser
import Credentials
import Cryptography
import Domain
import Foundation
import Logging
import Policy
import Redis
import Sandboxing
import Worker

struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev", abstract: "Runs a whole node on this machine, with a Redis of its own.",
        discussion: """
            Starts a private redis-server on a Unix socket (append-only file, no eviction) and one node, prints
            what runs where, and stays until ^C. Everything lives under the state directory; no process is left
            behind. With --redis-url or REDIS_URL the node uses that Redis instead.

            EXAMPLES
              orchestra dev
              orchestra dev --demo
              REDIS_URL=redis://127.0.0.1:6379/0 orchestra dev
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "Uses this Redis instead of a private one (also REDIS_URL).") var redisURL: String?
    @Option(help: "The probe port, 0 for a free one (also ORCHESTRA_PROBE_PORT).") var probePort: String?
    @Flag(help: "Submits a demonstration job and shows its states and terminal.") var demo = false

    /// What `dev` allows unless ALLOW_ACTIONS_DEFAULT says otherwise; a node in earnest allows nothing by itself.
    static let allowed = "shell.run,agent.run,queue.noop"

    /// Where `dev` serves the API unless ORCHESTRA_API_LISTEN says otherwise: a free port of loopback.
    static let apiAddress = "127.0.0.1:0"

    func run() async throws {
        try await reporting {
            try Host.refuseRoot()
            withoutCrashReports()
            try Host.hardenProcess()
            Host.shortenNameLookups()
            let outer = try self.common.context(
                extra: ["state-directory": try self.stateBase()], ignoringDev: true)
            let state = try Host.privateDirectory(try self.stateBase() + "/dev")
            try Host.lock(state + "/dev.lock", what: "orchestra dev")
            let external =
                self.redisURL ?? ProcessInfo.processInfo.environment["REDIS_URL"].flatMap { $0.isEmpty ? nil : $0 }
            let redis = external == nil ? try self.embeddedRedis(state) : nil
            let context = try self.devContext(outer, state: state, redisURL: external ?? redis?.url ?? "")
            try await Preflight.run(context, checkRedis: redis == nil) { self.say("warning: \($0)") }
            let policy = try context.policy()
            for name in ["agents", "workspaces"] { _ = try Host.privateDirectory("\(state)/\(name)") }
            try self.leaveConfiguration(context, state: state)
            let log = try LogSink(path: state + "/orchestra.log")
            let runner = NodeRunner(
                context: context, policy: policy, master: try context.masterKey(),
                logger: try context.logger { log.write($0) },
                server: redis.map { [$0.child] } ?? [],
                joined: { port, api in
                    await self.announce(context, state: state, port: port, api: api, redis: redis)
                })
            try await runner.run()
            self.say("stopped; nothing is left running")
        }
    }

    private func sandboxText(_ context: Context) -> String {
        context.settings.text("sandbox.selftest") == "never"
            ? "not tested: sandbox.selftest is never"
            : "tries \(EscapeAttempt.all.count) ways out of it first, some ten seconds; jobs wait for that"
    }

    private func stateBase() throws -> String {
        let environment = ProcessInfo.processInfo.environment
        let flags = self.common.set.compactMap { $0.hasPrefix("state-directory=") ? String($0.dropFirst(16)) : nil }
        return try Host.privateDirectory(
            flags.last ?? environment["ORCHESTRA_STATE_DIRECTORY"] ?? Context.defaultStateDirectory(environment))
    }

    private func embeddedRedis(_ state: String) throws -> EmbeddedRedis {
        let directory = try Host.privateDirectory(state + "/redis")
        guard (directory + "/redis.sock").utf8.count <= 107 else {
            throw CommandError.configuration(
                "the state directory \(state) has a path too long for Redis' socket; set ORCHESTRA_STATE_DIRECTORY to a shorter one"
            )
        }
        return EmbeddedRedis(
            executable: try Host.program("redis-server", package: "redis-server"), directory: directory)
    }

    /// The effective settings of the node: what was given, then what `dev` chooses by itself.
    private func devContext(_ outer: Context, state: String, redisURL: String) throws -> Context {
        var flags: [String: String] = [:]
        for key in SettingKey.all {
            guard let value = outer.settings.text(key.name), outer.settings.source(of: key.name) != "default" else {
                continue
            }
            flags[key.name] = value
        }
        flags["state-directory"] = state
        flags["redis.url"] = redisURL
        flags["probe.port"] = self.probePort ?? flags["probe.port"]
        flags["node.name"] = flags["node.name"] ?? "dev"
        flags["api.listen"] = flags["api.listen"] ?? Self.apiAddress
        flags["allow-actions-default"] = flags["allow-actions-default"] ?? Self.allowed
        flags["master-key"] = try flags["master-key"] ?? self.masterKey(state + "/master.key")
        flags["policies-directory"] = try outer.policiesDirectory()
        return Context(settings: try Settings(flags: flags, environment: [:], file: nil))
    }

    private func masterKey(_ path: String) throws -> String {
        if let bytes = FileManager.default.contents(atPath: path) {
            return String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let key = Hexadecimal.text(of: try Digests.randomBytes(count: 32))
        try Host.writePrivate(path, key + "\n")
        return key
    }

    /// Lets the other commands find this node without any option. The file is 0600: it holds the key.
    private func leaveConfiguration(_ context: Context, state: String) throws {
        let names = [
            "redis.url", "redis.username", "redis.password", "state-directory", "allow-actions-default", "master-key",
            "policies-directory",
        ]
        let members = names.compactMap { name in context.settings.text(name).map { JSONMember(name, .string($0)) } }
        try Host.writePrivate(state + "/config.json", JSONValue.object(members).text + "\n")
    }

    /// The key of an earlier start is not kept anywhere, so it cannot be shown again.
    private func apiText(_ context: Context, port: Int) async -> (lines: String, key: String?) {
        guard port > 0 else { return (context.settings.text("api.listen") ?? "off", nil) }
        let address = "http://127.0.0.1:\(port)"
        do {
            let workspace = try context.workspace()
            let key: APIKey? = try await QueueSession.with(context) { session in
                let now = try await session.queue.time()
                let known = try await session.credentials().records(of: workspace)
                guard !known.contains(where: { $0.isGood(at: now) }) else { return nil }
                return try await APIKeyAdmin(session).create(
                    in: workspace, roles: [try DefinitionName("admin")], label: "orchestra dev", lifetime: nil
                ).0
            }
            let text =
                key.map { "\($0.text)  (shown this once)" }
                ?? "made before; another: orchestra keys create --role developer"
            return ("\(address)\n  key        \(text)", key?.text)
        } catch {
            return ("\(address)\n  key        none: \(CommandError(error).message)", nil)
        }
    }

    private func announce(_ context: Context, state: String, port: Int, api: Int, redis: EmbeddedRedis?) async {
        let (apiLines, key) = await self.apiText(context, port: api)
        let host = context.settings.text("probe.host") ?? "127.0.0.1"
        self.say(
            """
            orchestra \(Version.text) is up
              redis      \(redis.map { "private, \($0.url)" } ?? ((try? context.redis())?.displayName ?? ""))
              api        \(apiLines)
              health     http://\(host):\(port)/readyz?verbose
              metrics    http://\(host):\(port)/metrics
              log        \(state)/orchestra.log
              state      \(state)
              allowed    \(context.settings.text("allow-actions-default") ?? "nothing")
              sandbox    \(self.sandboxText(context))
            """)
        if self.demo { await self.demonstrate(context) }
        let me = CommandLine.arguments.first ?? "orchestra"
        self.say(
            """

            try next, in another terminal:
              \(me) submit shell.run --param command='uname -a; id; ls /' --wait
              \(me) submit agent.run --param agent=shell --param prompt='echo $((6*7)); sleep 60' --follow
              \(me) jobs list
              curl -sH "Authorization: Bearer \(key ?? "$KEY")" http://127.0.0.1:\(api)/ai/jobs
            ^C stops everything.
            """)
    }

    private func demonstrate(_ context: Context) async {
        let prompt = "echo \"hello from a sandboxed agent\"; id -un; uname -r; ls -A / | tr '\\n' ' '; echo"
        self.say("\ndemonstration: the agent 'shell' gets a prompt in a terminal of its own\n  prompt: \(prompt)")
        do {
            let request = JobRequest(
                workspace: try context.workspace(), action: try ActionName("agent.run"),
                requestID: try RequestID(UUID().uuidString),
                params: JSONValue.object([JSONMember("agent", "shell"), JSONMember("prompt", .string(prompt))]).bytes,
                actor: "dev:\(NSUserName())")
            try await QueueSession.with(context) { session in
                let answers = try await session.submit([request], policy: try context.policy())
                guard let (id, _, _) = try answers.first?.accepted() else {
                    throw CommandError(.gaveUp, "the queue did not answer")
                }
                show("  job \(id)")
                let watcher = JobWatcher(
                    session: session, workspace: request.workspace, agents: context.stateDirectory + "/agents",
                    json: false)
                _ = try await watcher.watch(id)
            }
        } catch {
            self.say("the demonstration failed: \(CommandError(error).message)")
        }
    }

    private func say(_ text: String) { show(text) }
}
