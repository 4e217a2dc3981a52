internal import Foundation
package import Logging
internal import NIOCore
package import NIOPosix

/// A Unix socket that tells the node's status: who connects gets one JSON document and the end of the stream.
/// It is for the node's own user, to whom alone the state directory is open; nothing is read from it.
package struct StatusServer: Sendable {
    private let path: String
    private let document: @Sendable () async -> [UInt8]
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger

    /// `path` must be this process' alone: a socket that lies there already is taken for one that was left behind.
    package init(
        path: String, group: MultiThreadedEventLoopGroup, logger: Logger,
        document: @escaping @Sendable () async -> [UInt8]
    ) {
        self.path = path
        self.group = group
        self.logger = logger
        self.document = document
    }

    /// Binds and serves until the task is cancelled; then the socket's file is removed. Throws when it cannot bind.
    package func run(ready: @Sendable () -> Void) async throws {
        let document = self.document
        let server = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.backlog, value: 16)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(StatusHandler(document: document))
                }
            }
            .bind(unixDomainSocketPath: self.path, cleanupExistingSocketFile: true).get()
        defer { try? FileManager.default.removeItem(atPath: self.path) }
        do {
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: self.path)
        } catch {
            try await server.close()
            throw error
        }
        ready()
        try await server.servedUntilCancelled()
    }
}

extension Channel {
    /// Waits until the listening channel is closed, which cancelling the task does.
    func servedUntilCancelled() async throws {
        try await withTaskCancellationHandler {
            try await self.closeFuture.get()
        } onCancel: {
            self.close(promise: nil)
        }
    }
}

/// Writes the document and closes. A reader that does not read is not waited for.
private final class StatusHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let document: @Sendable () async -> [UInt8]

    private static let limit = TimeAmount.seconds(10)

    init(document: @escaping @Sendable () async -> [UInt8]) { self.document = document }

    func channelActive(context: ChannelHandlerContext) {
        let (channel, document) = (context.channel, self.document)
        channel.eventLoop.scheduleTask(in: Self.limit) { channel.close(promise: nil) }
        // Ends with the document; the connection's limit above bounds what waits for it.
        Task {
            let bytes = await document()
            channel.writeAndFlush(ByteBuffer(bytes: bytes)).whenComplete { _ in channel.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
