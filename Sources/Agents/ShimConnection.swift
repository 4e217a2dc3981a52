internal import Domain
internal import NIOCore
internal import NIOPosix
internal import ShimProtocol

/// A connection to a shim's socket, open for the duration of `with`.
struct ShimConnection {
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>

    /// Sends a frame; returns once the connection has room for it.
    func send(_ frame: ShimFrame) async throws {
        try await self.outbound.write(ByteBuffer(bytes: frame.encoded))
    }

    /// Connects, passes each frame to `receive` until the shim closes or `receive` returns a value, then closes. Returns nil
    /// when the shim closed first. Throws `IOError` when no shim listens, `DomainError` for a malformed frame, and what
    /// `opened` and `receive` throw.
    static func with<Result: Sendable>(
        path: String, group: MultiThreadedEventLoopGroup, opened: (ShimConnection) async throws -> Void,
        receive: (ShimFrame, ShimConnection) async throws -> Result?
    ) async throws -> Result? {
        let channel = try await ClientBootstrap(group: group).connect(unixDomainSocketPath: path) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
        return try await channel.executeThenClose { inbound, outbound in
            let connection = ShimConnection(outbound: outbound)
            try await opened(connection)
            var pending: [UInt8] = []
            do {
                for try await buffer in inbound {
                    pending.append(contentsOf: buffer.readableBytesView)
                    while let frame = try ShimFrame.next(from: &pending) {
                        if let result = try await receive(frame, connection) { return result }
                    }
                }
            } catch let error as IOError where error.errnoCode == ECONNRESET || error.errnoCode == EPIPE {
                return nil  // the shim died with the connection open
            }
            return nil
        }
    }
}
