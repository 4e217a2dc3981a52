package import Domain
package import Logging
internal import NIOCore
internal import NIOHTTP1
package import NIOPosix
internal import Synchronization

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
        let gate = ConnectionGate(limit: Self.connectionLimit)
        let server = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 64)
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
                body: self.registry.render() + ProcessMetrics.render())
        default: return ProbeResponse(status: .notFound, body: "expected /livez, /readyz, /startupz or /metrics\n")
        }
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

/// What a request gets.
private struct ProbeResponse: Sendable {
    let status: HTTPResponseStatus
    var type = "text/plain; charset=utf-8"
    let body: String
}

/// Counts connections, so that a flood of them cannot take all descriptors.
private final class ConnectionGate: Sendable {
    private let count = Mutex(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func enter() -> Bool {
        self.count.withLock { count in
            guard count < self.limit else { return false }
            count += 1
            return true
        }
    }

    func leave() { self.count.withLock { $0 -= 1 } }
}

/// Answers the requests of one connection; the pipeline below hands them over one at a time.
private final class ProbeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: @concurrent @Sendable (HTTPRequestHead) async -> ProbeResponse

    init(answer: @escaping @concurrent @Sendable (HTTPRequestHead) async -> ProbeResponse) {
        self.answer = answer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = self.unwrapInboundIn(data) else { return }
        Self.answer(head, on: context.channel, with: self.answer)
    }

    private static func answer(
        _ head: HTTPRequestHead, on channel: any Channel,
        with answer: @escaping @concurrent @Sendable (HTTPRequestHead) async -> ProbeResponse
    ) {
        // Ends with the answer, which is read from memory.
        Task { Self.respond(on: channel, to: head, await answer(head)) }
    }

    private static func respond(
        on channel: any Channel, to head: HTTPRequestHead, _ response: ProbeResponse
    ) {
        var headers = HTTPHeaders([
            ("content-type", response.type), ("content-length", String(response.body.utf8.count)),
            ("cache-control", "no-store"),
        ])
        if !head.isKeepAlive { headers.add(name: "connection", value: "close") }
        channel.write(
            HTTPServerResponsePart.head(HTTPResponseHead(version: .http1_1, status: response.status, headers: headers)),
            promise: nil)
        if head.method != .HEAD {
            channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: response.body))), promise: nil)
        }
        channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in
            if !head.isKeepAlive { channel.close(promise: nil) }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
