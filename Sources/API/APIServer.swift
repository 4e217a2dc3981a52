internal import CoreMetrics
internal import Domain
internal import Glibc
internal import HummingbirdCore
internal import Jobs
package import Logging
internal import NIOCore
internal import NIOPosix
internal import Synchronization
package import TransportSecurity

/// Serves the API for as long as its task runs.
package struct APIServer: Sendable {
    private let services: APIServices
    private let tls: TLSServerContext?
    private let logger: Logger

    /// How long a stop waits for answers that are under way.
    private static let grace = Duration.seconds(5)
    /// Connections accepted beyond the limit: each closes one that is idle. When none is idle, accepting pauses.
    private static let acceptMargin = 64

    /// Binds nothing yet. `tls` is nil for plain text.
    package init(services: APIServices, tls: TLSServerContext?, logger: Logger) {
        self.services = services
        self.tls = tls
        self.logger = logger
    }

    /// Throws when the address cannot be bound now; nothing stays open.
    package func checkAddress() async throws {
        guard case .tcp(let host, let port) = self.services.configuration.address else { return }
        let channel = try await ServerBootstrap(group: self.services.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1).bind(host: host, port: port).get()
        try await channel.close()
    }

    /// Binds and serves until the task is cancelled, then ends what runs and writes the audit rows that are left. `port`
    /// is that of an earlier run, so that a port which the kernel chose stays the same; 0 means as configured. Throws
    /// when the address is taken.
    package func run(port earlier: Int = 0, bound: @escaping @Sendable (Int) -> Void) async throws {
        let services = self.services
        let anonymous = AnonymousAudit(node: services.node, now: services.now, logger: self.logger) {
            do { try await services.store.appendAudit($0, of: nil) } catch {
                services.auditFailures.increment()
                throw error
            }
        }
        async let _ = anonymous.run()
        let end: any Error
        do {
            try await self.serve(anonymous, earlier, bound)
            end = APIError(code: .stoppedAccepting, message: "the API stopped accepting connections")
        } catch {
            end = error
        }
        // Not a child: it must be written although this task was cancelled.
        await withoutCancellation { await anonymous.flush() }
        throw end
    }

    /// Returns only when accepting has failed.
    private func serve(
        _ anonymous: AnonymousAudit, _ earlier: Int, _ bound: @escaping @Sendable (Int) -> Void
    ) async throws {
        let configuration = self.services.configuration
        let connections = ConnectionRegistry(
            limit: configuration.connectionLimit, addressLimit: configuration.addressConnectionLimit,
            proxies: configuration.proxies)
        let address: BindAddress =
            switch configuration.address {
            case .tcp(let host, let port): .hostname(host, port: earlier == 0 ? port : earlier)
            case .unix(let path): .unixDomainSocket(path: path)
            }
        let logger = self.logger
        let server = Server(
            childChannelSetup: APIChannel(
                services: self.services, tls: self.tls, connections: connections, anonymous: anonymous),
            configuration: ServerConfiguration(
                address: address, backlog: 512,
                availableConnectionsDelegate: MaximumAvailableConnections(
                    configuration.connectionLimit + Self.acceptMargin, logger: logger)),
            onServerRunning: { channel in
                if case .unix(let path) = configuration.address { _ = unsafe chmod(path, 0o600) }
                // In front of the library's own, which takes any error for the end of the channel.
                let added = channel.eventLoop.submit {
                    try channel.pipeline.syncOperations.addHandler(AcceptPauseHandler(), position: .first)
                }
                do { try await added.get() } catch {
                    // Without it the first error of accepting ends the server. It is closed here, and started again.
                    logger.error("the API cannot pause accepting and is closed", error: error)
                    channel.close(promise: nil)
                    return
                }
                bound(channel.localAddress?.port ?? 0)
            },
            eventLoopGroup: self.services.group, logger: Self.quiet)
        let (stops, stop) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        do {
            try await withTaskCancellationHandler {
                // A cancellation must stop it gracefully.
                try await withoutCancellation { () async throws -> Void in
                    async let _: Void = Self.shutDown(server, connections, when: stops, logger)
                    defer { stop.finish() }
                    try await server.run()
                }
            } onCancel: {
                stop.yield()
            }
        } catch {
            try Task.checkCancellation()
            throw error
        }
        try Task.checkCancellation()
    }

    /// Waits for a stop, then lets the requests in progress end within the grace, and closes what is left.
    private static func shutDown(
        _ server: Server<APIChannel>, _ connections: ConnectionRegistry, when stops: AsyncStream<Void>, _ logger: Logger
    ) async {
        for await _ in stops {
            await withDiscardingTaskGroup { deadline in
                deadline.addTask {
                    if await ContinuousClock.elapsed(Self.grace) { connections.closeAll() }
                }
                do { try await server.shutdownGracefully() } catch {
                    logger.debug("the API was stopped already", error: error)
                }
                deadline.cancelAll()
            }
            connections.closeAll()
            return
        }
    }

    /// The library logs about sockets, which is of no use to an operator.
    private static var quiet: Logger { Logger(label: "orchestra.api") { _ in SwiftLogNoOpLogHandler() } }
}
