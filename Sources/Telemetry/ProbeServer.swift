package import Domain
package import Logging
internal import NIOCore
internal import NIOHTTP1
package import NIOPosix

/// The probe port: `/livez`, `/readyz`, `/startupz` (each with `?verbose`) and `/metrics`. Nothing else
/// answers here, and it stands on bare NIO so that it answers when everything else is overloaded.
package struct ProbeServer: Sendable {
    package struct Configuration: Sendable {
        package var host: String
        /// 0 lets the kernel choose.
        package var port: Int

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

    /// Binds and serves until the task is cancelled. `bound` gets the port. `port` is that of an earlier run, so
    /// that a port which the kernel chose stays the same; 0 means as configured. Throws when the port is taken.
    package func run(port earlier: Int = 0, bound: @Sendable (Int) -> Void) async throws {
        let server = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 64)
            .bind(host: self.configuration.host, port: earlier == 0 ? self.configuration.port : earlier) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(IdleStateHandler(allTimeout: Self.idleLimit))
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(CloseOnIdleHandler())
                    return try NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>(
                        wrappingChannelSynchronously: channel)
                }
            }
        let port = server.channel.localAddress?.port ?? self.configuration.port
        self.logger.info(
            "the probe port is open", metadata: ["probe.host": "\(self.configuration.host)", "probe.port": "\(port)"])
        bound(port)
        let gate = ConnectionGate(limit: Self.connectionLimit)
        try await server.executeThenClose { connections in
            try await withThrowingDiscardingTaskGroup { group in
                for try await connection in connections {
                    guard await gate.enter() else {
                        // Closed by the channel's own rules; a peer that is gone already is no failure of ours.
                        do { try await connection.executeThenClose { _, _ in } } catch { continue }
                        continue
                    }
                    group.addTask {
                        await self.serve(connection)
                        await gate.leave()
                    }
                }
            }
        }
    }

    private func serve(
        _ connection: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>
    ) async {
        do {
            try await connection.executeThenClose { inbound, outbound in
                for try await part in inbound {
                    guard case .head(let head) = part else { continue }
                    let (status, type, body) = await self.answer(head)
                    var headers = HTTPHeaders([
                        ("content-type", type), ("content-length", String(body.utf8.count)),
                        ("cache-control", "no-store"),
                    ])
                    if !head.isKeepAlive { headers.add(name: "connection", value: "close") }
                    try await outbound.write(
                        .head(HTTPResponseHead(version: .http1_1, status: status, headers: headers)))
                    if head.method != .HEAD { try await outbound.write(.body(.byteBuffer(ByteBuffer(string: body)))) }
                    try await outbound.write(.end(nil))
                    if !head.isKeepAlive { return }
                }
            }
        } catch {
            self.logger.debug("a probe connection ended", error: error)
        }
    }

    private func answer(_ head: HTTPRequestHead) async -> (HTTPResponseStatus, String, String) {
        let text = "text/plain; charset=utf-8"
        guard head.method == .GET || head.method == .HEAD else {
            return (.methodNotAllowed, text, "GET or HEAD only\n")
        }
        let parts = head.uri.split(separator: "?", maxSplits: 1)
        let isVerbose =
            parts.count == 2 && parts[1].split(separator: "&").contains { $0 == "verbose" || $0.hasPrefix("verbose=") }
        switch parts.first ?? "" {
        case "/livez": return self.report(await self.health.liveness(), isVerbose)
        case "/readyz": return self.report(await self.health.readiness(), isVerbose)
        case "/startupz": return self.report(await self.health.startup(), isVerbose)
        case "/metrics":
            return (.ok, "text/plain; version=0.0.4; charset=utf-8", self.registry.render() + ProcessMetrics.render())
        default: return (.notFound, text, "expected /livez, /readyz, /startupz or /metrics\n")
        }
    }

    private func report(_ checks: [HealthCheck], _ isVerbose: Bool) -> (HTTPResponseStatus, String, String) {
        let isHealthy = checks.allSatisfy(\.isHealthy)
        var body = ""
        if isVerbose || !isHealthy {
            for check in checks { body += "[\(check.isHealthy ? "+" : "-")]\(check.name): \(check.detail)\n" }
        }
        body += isHealthy ? "ok\n" : "not ok\n"
        return (isHealthy ? .ok : .serviceUnavailable, "text/plain; charset=utf-8", body)
    }
}

/// Counts connections, so that a flood of them cannot take all descriptors.
private actor ConnectionGate {
    private var count = 0
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func enter() -> Bool {
        guard self.count < self.limit else { return false }
        self.count += 1
        return true
    }

    func leave() { self.count -= 1 }
}

private final class CloseOnIdleHandler: ChannelInboundHandler {
    typealias InboundIn = Any

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }
}
