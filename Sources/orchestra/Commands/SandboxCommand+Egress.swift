import Agents
import Budgets
import ArgumentParser
import CLinux
import CoreMetrics
import Jobs
import NIOPosix
import Policy
import Domain
import EgressServer
import Foundation
import Logging
import Redaction
import Redis
import Sandboxing

extension SandboxCommand {
    /// `orchestra sandbox serve-egress`: what `sandbox exec` starts where no node serves its listener. Not for people.
    struct ServeEgress: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "serve-egress", abstract: "Serves the listener of one program; started by `sandbox exec`.",
            discussion:
                "EXAMPLE\n  orchestra sandbox exec --profile web --workspace . -- /usr/bin/curl https://example.com",
            shouldDisplay: false)

        @OptionGroup var common: CommonOptions
        @Option(help: "The profile.") var profile: String
        @Option(help: "The path of the socket for the shim.") var socket: String
        @Option(help: "The process with whose end it ends.") var process: Int32
        @Flag(help: "Uses the file and the secrets directory, whatever the configuration has.") var withoutRedis = false

        func run() async throws {
            try await reporting {
                try Host.hardenProcess()
                let context = try self.common.nodeContext()
                let all = try context.egress(try context.policy().bundle)
                let name = try DefinitionName(self.profile)
                let configuration = EgressServerConfiguration(
                    socket: self.socket, generation: all.generation, entries: [name: all.entries[name] ?? []],
                    overrides: all.overrides, authorityFile: all.authorityFile)
                let logger = try context.logger { _ = Output.write($0, to: STDERR_FILENO) }
                let (path, process) = (self.socket, orc_pidfd_open(self.process))
                defer { _ = unsafe unlink(path) }
                guard process >= 0 else { throw CommandError(.unavailable, "the program is gone") }
                try await Self.withTrail(context, usesRedis: !self.withoutRedis, logger) { append in
                    try await Self.serve(
                        EgressRunner(configuration: configuration.encoded, append: append, logger: logger),
                        until: process)
                }
            }
        }

        private static let lastRows = Duration.seconds(1)

        /// Serves until the process has ended. A server that ends is started again.
        private static func serve(_ runner: EgressRunner, until process: Int32) async throws {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    var failures = 0
                    while !Task.isCancelled {
                        do { try await runner.run(ready: {}) } catch is CancellationError { return } catch {
                            runner.logger.warning("the egress server ended", metadata: ["reason": "\(error)"])
                        }
                        failures += 1
                        try await ContinuousClock().sleep(
                            for: min(.milliseconds(100 << min(failures, 7)), .seconds(10)))
                    }
                }
                tasks.addTask { await Self.ended(process) }
                _ = try await tasks.next()
                // The end of the shim ends its connections, whose rows are still to come.
                try await ContinuousClock().sleep(for: Self.lastRows)
                tasks.cancelAll()
            }
        }

        private static func ended(_ process: Int32) async {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let thread = Thread {
                    var poll = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
                    while unsafe Glibc.poll(&poll, 1, -1) < 0, errno == EINTR {}
                    continuation.resume()
                }
                thread.start()
            }
        }

        /// Redis' trail, credentials and budgets where this configuration has them; else a file and the secrets directory.
        private static func withTrail(
            _ context: Context, usesRedis: Bool, _ logger: Logger,
            _ body:
                @escaping @Sendable (@escaping @Sendable (JSONValue) async -> EgressAcknowledgement?) async throws ->
                Void
        ) async throws {
            guard usesRedis, try await Self.hasRedis(context, logger) else {
                let agents = try context.agents()
                let trail = FileTrail(
                    path: context.stateDirectory + "/egress.jsonl", secrets: agents.secrets,
                    retention: agents.retention)
                do { try await agents.files.run { try trail.trim() } } catch let error as HostFileError {
                    logger.warning("old events could not be removed", metadata: ["reason": "\(error)"])
                }
                return try await body { event in
                    // What is cancelled before it is written has no answer.
                    do { return try await agents.files.run { trail.append(event) } } catch { return nil }
                }
            }
            let prices = try context.prices()
            let node = try context.node().name
            try await QueueSession.with(context) { session in
                try await session.access.refresh()
                let clock = session.access.clock
                let trail = EgressTrail(
                    store: session.queue, node: node, now: { clock.now() }, wall: { Host.wallMilliseconds() },
                    admission: try ModelAdmission(
                        client: session.first, master: session.master, prices: prices, now: { clock.now() },
                        logger: logger,
                        reached: { share in
                            await BudgetReport(store: session.queue, node: node, logger: logger).report(
                                share, at: clock.now())
                        }), metrics: EgressMetrics(factory: NOOPMetricsHandler.instance), logger: logger)
                try await body { await trail.append($0) }
            }
        }

        /// Whether there is a master key, and a Redis that accepts connections. One that refuses this configuration is an
        /// error: its budgets and its trail must not be passed by.
        private static func hasRedis(_ context: Context, _ logger: Logger) async throws -> Bool {
            guard context.settings.text("master-key") != nil else {
                logger.notice("without a master key events go to a file, and there are no budgets")
                return false
            }
            do {
                await (try RedisConnection.connect(to: try context.redis(), group: .singleton)).close()
                return true
            } catch let error as RedisError where error.code == .unreachable {
                logger.notice(
                    "Redis cannot be reached: events go to a file, and there are no budgets",
                    metadata: ["reason": "\(error.message)"])
                return false
            }
        }
    }
}
