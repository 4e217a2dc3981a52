package import Domain
package import Logging
internal import NIOCore
internal import NIOHTTP1
package import NIOPosix
internal import TransportSecurity

/// The probe port: `/livez`, `/readyz`, `/startupz` (each with `?verbose`) and `/metrics`, and nothing else. It uses bare NIO,
/// so that it answers when everything else is overloaded.
package struct ProbeServer: Sendable {
    /// The address.
    package struct Configuration: Sendable {
        package var host: String
        /// 0 lets the kernel choose.
        package var port: Int

        /// No check is made until the address is bound.
        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    private let configuration: Configuration
    private let registry: MetricsRegistry
    private let health: any HealthSource
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger

    private static let connectionLimit = 64
    private static let idleLimit = TimeAmount.seconds(30)

    /// Serves nothing until `run`.
    package init(
        configuration: Configuration, registry: MetricsRegistry, health: any HealthSource,
        group: MultiThreadedEventLoopGroup, logger: Logger
    ) {
        self.configuration = configuration
        self.registry = registry
        self.health = health
        self.group = group
        self.logger = logger
    }

    /// Throws when the address cannot be bound now; nothing stays open.
    package func checkAddress() async throws {
        let channel = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: self.configuration.host, port: self.configuration.port).get()
        try await channel.close()
    }

    /// Binds and serves until the task is cancelled. `bound` receives the port. `earlier` is the port of an earlier run, so
    /// that one which the kernel chose stays the same; 0 means as configured. Throws when the port is taken.
    package func run(port earlier: Int = 0, bound: @Sendable (Int) -> Void) async throws {
        let gate = ConnectionGate(limit: Self.connectionLimit)
        let server = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelInitializer { channel in
                // Without descriptors accepting pauses for a second; it would fail again and again at once.
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPauseHandler())
                }
            }
            .childChannelInitializer { channel in
                guard gate.enter() else { return channel.close() }
                channel.closeFuture.whenComplete { _ in gate.leave() }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(IdleStateHandler(allTimeout: Self.idleLimit))
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(
                        ProbeHandler { await self.answer($0) })
                }
            }
            .bind(host: self.configuration.host, port: earlier == 0 ? self.configuration.port : earlier).get()
        let port = server.localAddress?.port ?? self.configuration.port
        self.logger.info(
            "the probe port is open", metadata: ["probe.host": "\(self.configuration.host)", "probe.port": "\(port)"])
        bound(port)
        try await server.servedUntilCancelled()
    }

    private func answer(_ head: HTTPRequestHead) async -> ProbeResponse {
        guard head.method == .GET || head.method == .HEAD else {
            return ProbeResponse(status: .methodNotAllowed, body: "GET or HEAD only\n")
        }
        let parts = head.uri.split(separator: "?", maxSplits: 1)
        let isVerbose =
            parts.count == 2 && parts[1].split(separator: "&").contains { $0 == "verbose" || $0.hasPrefix("verbose=") }
        switch parts.first ?? "" {
        case "/livez": return self.report(await self.health.liveness(), isVerbose)
        case "/readyz": return self.report(await self.health.readiness(), isVerbose)
        case "/startupz": return self.report(await self.health.startup(), isVerbose)
        case "/metrics":
            return ProbeResponse(
                status: .ok, type: "text/plain; version=0.0.4; charset=utf-8",
                body: self.registry.render() + (await self.processMetrics()))
        default: return ProbeResponse(status: .notFound, body: "expected /livez, /readyz, /startupz or /metrics\n")
        }
    }

    /// Read on a thread for blocking work; empty when the threads have ended with the process.
    private func processMetrics() async -> String {
        do { return try await NIOThreadPool.singleton.runIfActive { ProcessMetrics.render() } } catch { return "" }
    }

    private func report(_ checks: [HealthCheck], _ isVerbose: Bool) -> ProbeResponse {
        let isHealthy = checks.allSatisfy(\.isHealthy)
        var body = ""
        if isVerbose || !isHealthy {
            for check in checks { body += "[\(check.isHealthy ? "+" : "-")]\(check.name): \(check.detail)\n" }
        }
        body += isHealthy ? "ok\n" : "not ok\n"
        return ProbeResponse(status: isHealthy ? .ok : .serviceUnavailable, body: body)
    }
}
