import ArgumentParser
import CoreMetrics
import Foundation
import Logging
import Policy
import Telemetry

/// `orchestra worker`.
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Runs a worker node until a signal stops it.",
        discussion: """
            Logs are JSON lines on standard error. SIGTERM, SIGINT and SIGHUP drain: no new claims, running jobs finish
            within worker.grace, the rest goes back to the queue, status 0; a second signal cancels running jobs.

            EXAMPLES
              ORCHESTRA_MASTER_KEY_FILE=/etc/orchestra/master.key ALLOW_ACTIONS_DEFAULT=shell.run,agent.run \\
                  orchestra worker --redis-url rediss://redis.example:6379/0
              orchestra worker --node-name node-2 --probe-port 9465
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "redis://, rediss:// or unix:// URL (also REDIS_URL).") var redisURL: String?
    @Option(help: "The node's stable name (also ORCHESTRA_NODE_NAME).") var nodeName: String?
    @Option(help: "The probe port, 0 for a free one (also ORCHESTRA_PROBE_PORT).") var probePort: String?
    @Option(help: "Jobs held at once (also ORCHESTRA_WORKER_SLOTS).") var slots: String?
    @Flag(help: "Accepts a Redis over TCP without TLS in production.") var insecurePlainRedis = false
    @Flag(help: "Accepts a probe port beyond the loopback interface in production.") var insecurePublicProbe = false

    func run() async throws {
        try await reporting {
            try Host.refuseRoot()
            withoutCrashReports()
            try Host.hardenProcess()
            Host.shortenNameLookups()
            var extra: [String: String] = [:]
            extra["redis.url"] = self.redisURL
            extra["node.name"] = self.nodeName
            extra["probe.port"] = self.probePort
            extra["worker.slots"] = self.slots
            if self.insecurePlainRedis { extra["insecure.plain-redis"] = "yes" }
            if self.insecurePublicProbe { extra["insecure.public-probe"] = "yes" }
            let context = try self.common.nodeContext(extra: extra)
            let metrics = MetricsRegistry()
            let log = LogSink.writing(
                to: STDERR_FILENO, dropped: Counter(label: "orchestra_log_lines_dropped_total", factory: metrics))
            let logger = try context.logger { log.write($0) }
            do {
                try await self.run(context, metrics, logger)
            } catch {
                await log.finish(within: .seconds(2))
                throw error
            }
            await log.finish(within: .seconds(2))
        }
    }

    private func run(_ context: Context, _ metrics: MetricsRegistry, _ logger: Logger) async throws {
        let policy = try context.policy()
        let directory = try context.policiesDirectory()
        logger.notice("the policies are loaded", metadata: ["policies.directory": "\(directory)"])
        let master = try context.masterKey()
        try await Preflight.run(context, checkRedis: true) {
            logger.warning("a setting is not safe", metadata: ["reason": "\($0)"])
        }
        if let warning = Preflight.allowListWarning(policy.allowed.isEmpty) {
            logger.warning("nothing is allowed", metadata: ["reason": "\(warning)"])
        }
        _ = try Host.privateDirectory(context.stateDirectory)
        _ = try Host.privateDirectory(context.stateDirectory + "/agents")
        _ = try Host.privateDirectory(context.stateDirectory + "/workspaces")
        try Host.lock(context.stateDirectory + "/node.lock", what: "orchestra worker")
        let runner = NodeRunner(
            context: context, policy: policy, master: master, metrics: metrics, logger: logger,
            manager: ServiceManager(
                environment: ProcessInfo.processInfo.environment, processID: getpid(), logger: logger),
            joined: { port, api in
                logger.notice("the node is up", metadata: ["probe.port": "\(port)", "api.port": "\(api)"])
            })
        try await runner.run()
        logger.notice("the node has stopped")
    }
}
