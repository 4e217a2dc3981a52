import Foundation
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// A TCP proxy on loopback in front of a Unix socket that does to its connections what bad networks do.
package final class FaultProxy: Sendable {
    /// What happens to what passes, in either direction.
    package enum Fault: Sendable, Hashable {
        case none
        /// Each piece is held back so long.
        case delay(milliseconds: Int64)
        /// Pieces of a few bytes, one at a time.
        case dribble
        /// Nothing passes and nothing is closed: a cable that was pulled.
        case blackHole
        /// The connection is reset when so many bytes have passed.
        case cut(afterBytes: Int)
        /// New connections are reset at once.
        case refuse
        /// The server's side is closed for writing once it has said something.
        case halfClose
    }

    private struct State {
        var fault = Fault.none
        var channels: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = Mutex(State())
    private let server: any Channel
    package let port: Int

    private init(server: any Channel, port: Int) {
        self.server = server
        self.port = port
    }

    /// From now on for all connections, those that stand included.
    package func set(_ fault: Fault) { self.state.withLock { $0.fault = fault } }

    /// Resets what stands.
    package func resetAll() {
        for channel in self.state.withLock({ Array($0.channels.values) }) { Self.reset(channel) }
    }

    var fault: Fault { self.state.withLock { $0.fault } }

    fileprivate func add(_ channel: any Channel) {
        self.state.withLock { $0.channels[ObjectIdentifier(channel)] = channel }
        channel.closeFuture.whenComplete { [weak self] _ in
            self?.state.withLock { $0.channels[ObjectIdentifier(channel)] = nil }
        }
    }

    fileprivate static func reset(_ channel: any Channel) {
        // Closing with no linger sends a reset instead of a FIN.
        guard let socket = channel as? any SocketOptionProvider else { return channel.close(promise: nil) }
        socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in channel.close(promise: nil) }
    }

    /// Runs the body with a proxy in front of the socket at `path`.
    package static func with<Result: Sendable>(
        _ path: String, _ body: (FaultProxy) async throws -> Result
    ) async throws -> Result {
        let box = ProxyBox()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { client in
                box.accept(client, path)
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let proxy = FaultProxy(server: server, port: server.localAddress?.port ?? 0)
        box.set(proxy)
        do {
            let result = try await body(proxy)
            proxy.resetAll()
            try await server.close()
            return result
        } catch {
            proxy.resetAll()
            try? await server.close()
            throw error
        }
    }
}

/// Lets connections find the proxy that is made after the listener.
private final class ProxyBox: Sendable {
    private let proxy = Mutex<FaultProxy?>(nil)

    func set(_ proxy: FaultProxy) { self.proxy.withLock { $0 = proxy } }

    func accept(_ client: any Channel, _ path: String) -> EventLoopFuture<Void> {
        guard let proxy = self.proxy.withLock({ $0 }), proxy.fault != .refuse else {
            FaultProxy.reset(client)
            return client.eventLoop.makeSucceededVoidFuture()
        }
        proxy.add(client)
        return client.eventLoop.makeCompletedFuture {
            let front = Pipe(proxy, isServer: false)
            try client.pipeline.syncOperations.addHandler(front)
            let bound = NIOLoopBound(front, eventLoop: client.eventLoop)
            ClientBootstrap(group: client.eventLoop)
                .channelInitializer { upstream in
                    upstream.eventLoop.makeCompletedFuture {
                        let back = Pipe(proxy, isServer: true)
                        back.connect(to: client)
                        try upstream.pipeline.syncOperations.addHandler(back)
                    }
                }
                .connect(unixDomainSocketPath: path).whenComplete { result in
                    switch result {
                    case .success(let upstream):
                        proxy.add(upstream)
                        bound.value.connect(to: upstream)
                    case .failure: client.close(promise: nil)
                    }
                }
        }
    }
}

/// One direction of a connection. Pieces keep their order whatever is done to them.
private final class Pipe: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let proxy: FaultProxy
    /// Where it leads; what comes before it leads anywhere waits.
    private var end: (any Channel)?
    private var waiting: [ByteBuffer] = []
    private let isServer: Bool
    private var passed = 0
    private var clearAt = NIODeadline.now()

    init(_ proxy: FaultProxy, isServer: Bool) {
        self.proxy = proxy
        self.isServer = isServer
    }

    func connect(to end: any Channel) {
        self.end = end
        for buffer in self.waiting { end.write(buffer, promise: nil) }
        end.flush()
        self.waiting = []
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = self.unwrapInboundIn(data)
        guard let other = self.end else { return self.waiting.append(buffer) }
        self.passed += buffer.readableBytes
        switch self.proxy.fault {
        case .none, .refuse: self.pass(buffer, after: .zero)
        case .delay(let milliseconds): self.pass(buffer, after: .milliseconds(milliseconds))
        case .dribble:
            while let piece = buffer.readSlice(length: min(7, buffer.readableBytes)), piece.readableBytes > 0 {
                self.pass(piece, after: .microseconds(200))
            }
        case .blackHole: break
        case .cut(let limit):
            guard self.passed >= limit else { return self.pass(buffer, after: .zero) }
            if let half = buffer.readSlice(length: buffer.readableBytes / 2) { other.writeAndFlush(half, promise: nil) }
            FaultProxy.reset(other)
            FaultProxy.reset(context.channel)
        case .halfClose:
            self.pass(buffer, after: .zero)
            if self.isServer { other.close(mode: .output, promise: nil) }
        }
    }

    private func pass(_ buffer: ByteBuffer, after delay: TimeAmount) {
        guard let other = self.end else { return }
        self.clearAt = max(self.clearAt, .now()) + delay
        guard self.clearAt > .now() else { return other.writeAndFlush(buffer, promise: nil) }
        other.eventLoop.scheduleTask(deadline: self.clearAt) { other.writeAndFlush(buffer, promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard self.proxy.fault != .blackHole else { return }
        self.end?.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
