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

    private static let connectionLimit = 16
    private static let writeLimit = TimeAmount.seconds(10)

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
        let server = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.backlog, value: 16)
            .bind(unixDomainSocketPath: self.path, cleanupExistingSocketFile: true) { channel in
                channel.eventLoop.makeCompletedFuture {
                    // A reader that does not read is not waited for.
                    channel.eventLoop.scheduleTask(in: Self.writeLimit) { channel.close(promise: nil) }
                    return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        defer { try? FileManager.default.removeItem(atPath: self.path) }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: self.path)
        ready()
        try await server.executeThenClose { connections in
            try await withThrowingTaskGroup(of: Void.self) { group in
                var count = 0
                for try await connection in connections {
                    if count >= Self.connectionLimit { try await group.next() } else { count += 1 }
                    group.addTask { await self.answer(connection) }
                }
            }
        }
    }

    private func answer(_ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>) async {
        do {
            let document = await self.document()
            try await connection.executeThenClose { _, outbound in
                try await outbound.write(ByteBuffer(bytes: document))
            }
        } catch {
            self.logger.debug("a status connection ended", error: error)
        }
    }
}
