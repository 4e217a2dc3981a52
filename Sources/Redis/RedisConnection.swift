internal import Domain
internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import Synchronization
internal import TransportSecurity

/// One connection to a server; replies come in the order of the commands.
package final class RedisConnection: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<RedisChannelHandler>
    private let nextID = Atomic<UInt64>(1)

    /// Takes over a channel whose pipeline ends in `handler`.
    init(channel: any Channel, handler: NIOLoopBound<RedisChannelHandler>) {
        self.channel = channel
        self.handler = handler
    }

    /// Connects to the configuration's endpoint, checks the certificate, authenticates, selects the database and names the client.
    /// Throws `RedisError` `.unreachable`, `.refused` or `.configuration`; nothing stays open then.
    static func open(
        _ configuration: RedisConfiguration, group: MultiThreadedEventLoopGroup
    ) async throws -> RedisConnection {
        if let tls = configuration.tls {
            // Files are checked before a connection is tried.
            do throws(TLSError) {
                try TLSClientHandler.validate(tls)
            } catch {
                throw RedisError(
                    code: .configuration, message: "TLS to Redis at \(configuration.displayName) cannot be set up",
                    underlying: error)
            }
        }
        let loop = group.next()
        let ready = loop.makePromise(of: Void.self)
        let connection: RedisConnection
        do {
            connection = try await self.channel(configuration, loop: loop, ready: ready)
        } catch let error as RedisError {
            ready.fail(error)
            throw error
        } catch {
            ready.fail(error)
            throw RedisError(
                code: .unreachable,
                message: "Redis at \(configuration.displayName) cannot be reached: \(Self.reason(error))")
        }
        do {
            try await ready.futureResult.get()
            try await connection.greet(configuration)
            return connection
        } catch {
            await connection.close()
            if let error = error as? RedisError { throw error }
            throw RedisError(
                code: .unreachable, message: "Redis at \(configuration.displayName) did not become ready",
                underlying: error)
        }
    }

    /// Returns once the connection is closed, by either side.
    package func closed() async {
        await withCheckedContinuation { continuation in
            self.channel.closeFuture.whenComplete { _ in continuation.resume() }
        }
    }

    /// Closes the connection; what waits for a reply throws `RedisError.connectionLost`.
    package func close() async {
        self.beginClose()
        await self.closed()
    }

    /// The same without waiting for the end.
    func beginClose() { self.channel.close(promise: nil) }

    /// Writes all commands at once and returns a reply for each, error replies included.
    ///
    /// Past `timeout`, plus the time that a slow link needs for the bytes (`ReplyDeadline`), it throws
    /// `RedisError.timeout` and closes the connection, because the order of its replies is unknown by then. When the task
    /// is cancelled it throws `CancellationError` and the connection stays; the commands may still run.
    package func pipeline(_ commands: [RedisCommand], timeout: Duration) async throws -> [RESPReply] {
        guard !commands.isEmpty else { return [] }
        try Task.checkCancellation()
        let id = self.nextID.wrappingAdd(1, ordering: .relaxed).oldValue
        let buffer = RedisCommand.encode(commands, allocator: self.channel.allocator)
        let channel = self.channel
        let handler = self.handler
        defer { channel.eventLoop.execute { handler.value.forget(id: id) } }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                channel.eventLoop.execute {
                    let request = RedisChannelHandler.Request(
                        id: id, bytes: buffer, replies: commands.count, timeout: timeout, continuation: continuation)
                    handler.value.send(request, on: channel)
                }
            }
        } onCancel: {
            channel.eventLoop.execute { handler.value.cancel(id: id) }
        }
    }

    private static func channel(
        _ configuration: RedisConfiguration, loop: any EventLoop, ready: EventLoopPromise<Void>
    ) async throws -> RedisConnection {
        // Handed over by the initializer: a connection that fails at once removes the handler from its channel.
        let made = loop.makePromise(of: NIOLoopBound<RedisChannelHandler>.self)
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls = configuration.tls {
                        try channel.pipeline.syncOperations.addHandler(
                            TLSClientHandler(
                                configuration: tls, handshakeTimeout: TimeAmount(configuration.connectTimeout)))
                    }
                    let handler = try RedisChannelHandler(ready: ready, expectsTLS: configuration.tls != nil)
                    try channel.pipeline.syncOperations.addHandler(handler)
                    made.succeed(NIOLoopBound(handler, eventLoop: channel.eventLoop))
                }
            }
        do {
            let channel =
                switch configuration.endpoint {
                case .tcp(let host, let port): try await bootstrap.connect(host: host, port: port).get()
                case .unix(let path): try await bootstrap.connect(unixDomainSocketPath: path).get()
                }
            return RedisConnection(channel: channel, handler: try await made.futureResult.get())
        } catch {
            made.fail(error)  // no effect when it was made
            throw error
        }
    }

    private func greet(_ configuration: RedisConfiguration) async throws {
        var commands: [RedisCommand] = []
        if let password = configuration.password {
            commands.append(RedisCommand("AUTH", configuration.username ?? "default", password))
        }
        if configuration.isSentinel {
            commands.append(RedisCommand("PING"))
        } else {
            commands.append(RedisCommand("SELECT", String(configuration.database)))
            commands.append(RedisCommand("CLIENT", "SETNAME", configuration.clientName))
        }
        let replies = try await self.pipeline(commands, timeout: configuration.connectTimeout)
        for (index, reply) in replies.enumerated() {
            guard let error = reply.error else { continue }
            if case .server(let kind) = error.code, kind == "LOADING" || kind == "MASTERDOWN" { throw error }
            // An access list may forbid CLIENT SETNAME; the name is only a convenience.
            if index == replies.count - 1, case .server(kind: "NOPERM") = error.code { continue }
            throw RedisError(
                code: .refused,
                message:
                    "Redis at \(configuration.displayName) refused this user: \(error.message); check REDIS_USERNAME, REDIS_PASSWORD and the database number"
            )
        }
    }

    /// The cause of a failed connection, without the words that the network library adds.
    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { Self.reason($0.error) } ?? error.dnsAError.map { "\($0)" } ?? "\(error)"
        case let error as IOError: unsafe String(cString: strerror(error.errnoCode))
        case ChannelError.connectTimeout: "no answer in time"
        default: "\(error)"
        }
    }
}
