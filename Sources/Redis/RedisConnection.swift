internal import Domain
internal import NIOCore
internal import NIOPosix
internal import Synchronization
internal import TransportSecurity

/// One connection: pipelines of commands in, replies out, in order.
package final class RedisConnection: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<RedisChannelHandler>
    private let nextID = Atomic<UInt64>(1)

    private init(channel: any Channel, handler: NIOLoopBound<RedisChannelHandler>) {
        self.channel = channel
        self.handler = handler
    }

    /// Connects to the configuration's endpoint, checks the certificate, authenticates, selects the database and names the client.
    /// Throws `RedisError` `.unreachable`, `.refused` or `.configuration`; nothing stays open then.
    static func open(
        _ configuration: RedisConfiguration, group: MultiThreadedEventLoopGroup
    ) async throws -> RedisConnection {
        if let tls = configuration.tls {
            // Files are judged before a connection is tried, and in words of their own.
            do throws(TLSError) {
                try TLSClientHandler.validate(tls)
            } catch {
                throw RedisError(code: .configuration, message: error.message)
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
                message: "Redis at \(configuration.displayName) cannot be reached: \(Self.words(error))")
        }
        do {
            try await ready.futureResult.get()
            try await connection.greet(configuration)
            return connection
        } catch {
            await connection.close()
            if let error = error as? RedisError { throw error }
            throw RedisError(code: .unreachable, message: "Redis at \(configuration.displayName): \(error)")
        }
    }

    /// Resolves once the connection is gone, for whatever reason.
    package func closed() async { try? await self.channel.closeFuture.get() }

    package func close() async {
        do { try await self.channel.close() } catch { return }  // closed already
    }

    /// Writes all commands at once and returns a reply for each, error replies included.
    ///
    /// Past `timeout` it throws `RedisError.timeout` and closes the connection, whose replies are of
    /// unknown order by then. When the task is cancelled it throws `CancellationError` and the
    /// connection stays; the commands may still run.
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
                    let deadline = channel.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
                        handler.value.fail(
                            RedisError(code: .timeout, message: "Redis did not answer within \(timeout)"))
                        channel.close(promise: nil)
                    }
                    guard
                        handler.value.expect(
                            id: id, replies: commands.count, deadline: deadline, continuation: continuation)
                    else { return }
                    channel.writeAndFlush(buffer, promise: nil)
                }
            }
        } onCancel: {
            channel.eventLoop.execute { handler.value.cancel(id: id) }
        }
    }

    private static func channel(
        _ configuration: RedisConfiguration, loop: any EventLoop, ready: EventLoopPromise<Void>
    ) async throws -> RedisConnection {
        // Taken where it is made: a peer that is refused at once removes the handler with its channel.
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
            // CLIENT SETNAME may be forbidden by an access list; a name is only a convenience.
            if index == replies.count - 1, case .server(kind: "NOPERM") = error.code { continue }
            throw RedisError(
                code: .refused,
                message:
                    "Redis at \(configuration.displayName) refused this user: \(error.message); check REDIS_USERNAME, REDIS_PASSWORD and the database number"
            )
        }
    }

    private static func words(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { "\($0.error)" } ?? error.dnsAError.map { "\($0)" } ?? "\(error)"
        case let error as IOError: error.description
        case ChannelError.connectTimeout: "no answer in time"
        default: "\(error)"
        }
    }
}
