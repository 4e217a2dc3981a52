import Domain
import NIOCore
import NIOEmbedded
import Testing

@testable import Redis

/// Reads exactly one reply.
func reply(_ text: String) throws -> RESPReply {
    var reader = try RESPReader()
    try reader.feed(ByteBuffer(string: text).readableBytesView)
    return try #require(try reader.next())
}

/// The outermost value of exactly one reply.
func value(_ text: String) throws -> RESPValue { try reply(text).root }

/// A connection on a channel without a socket; the test plays the server.
struct RedisBench {
    let loop: NIOAsyncTestingEventLoop
    let channel: NIOAsyncTestingChannel
    let connection: RedisConnection
    let ready: EventLoopFuture<Void>

    init(expectsTLS: Bool = false) async throws {
        let loop = NIOAsyncTestingEventLoop()
        let ready = loop.makePromise(of: Void.self)
        let made = loop.makePromise(of: NIOLoopBound<RedisChannelHandler>.self)
        let channel = try await NIOAsyncTestingChannel(loop: loop) { channel in
            let handler = try RedisChannelHandler(ready: ready, expectsTLS: expectsTLS)
            try channel.pipeline.syncOperations.addHandler(handler)
            made.succeed(NIOLoopBound(handler, eventLoop: channel.eventLoop))
        }
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 6379)).get()
        self.loop = loop
        self.channel = channel
        self.ready = ready.futureResult
        self.connection = RedisConnection(channel: channel, handler: try await made.futureResult.get())
    }

    /// The next bytes that the client wrote.
    func written() async throws -> String {
        String(buffer: try await self.channel.waitForOutboundWrite(as: ByteBuffer.self))
    }

    /// Sends bytes as the server.
    func answer(_ text: String) async throws { try await self.channel.writeInbound(ByteBuffer(string: text)) }
}

/// The code of the `RedisError` that `body` throws.
func redisCode(_ body: () async throws -> some Any) async -> RedisErrorCode? {
    do {
        _ = try await body()
        return nil
    } catch {
        return (error as? RedisError)?.code
    }
}
