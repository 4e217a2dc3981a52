internal import Foundation
package import Logging
internal import NIOCore
package import NIOPosix
internal import TransportSecurity

/// A Unix socket with the status of the node: a client that connects receives one JSON document and the end of the stream.
/// Only the user of the node can connect, because the state directory has mode 0700. Nothing is read from a client.
package struct StatusServer: Sendable {
    private let path: String
    private let document: @Sendable () async -> [UInt8]
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger

    /// `path` must belong to this process: a socket that exists there is replaced. `document` makes the JSON.
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
            .serverChannelInitializer { channel in
                // Without descriptors accepting pauses for a second; it would fail again and again at once.
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPauseHandler())
                }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(StatusHandler(document: document))
                }
            }
            .bind(unixDomainSocketPath: self.path, cleanupExistingSocketFile: true).get()
        defer { self.removeFile() }
        do {
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: self.path)
        } catch {
            try await server.close()
            throw error
        }
        ready()
        try await server.servedUntilCancelled()
    }

    private func removeFile() {
        do {
            try FileManager.default.removeItem(atPath: self.path)
        } catch {
            // The next start replaces it.
            self.logger.debug("the status socket could not be removed", error: error)
        }
    }
}
