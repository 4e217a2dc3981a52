internal import CLinux
internal import Domain
package import Egress
internal import Foundation
package import Logging
internal import NIOCore
package import NIOPosix
package import ShimProtocol
internal import TransportSecurity

/// Serves the listeners of sandboxes, which their shims hand over by a Unix socket. Each connection is decided by a
/// `TunnelMachine`. Nothing here outlives the process: a shim that sees its end hands its listener to the next server.
package final class EgressServer: Sendable {
    private let configuration: EgressServerConfiguration
    private let rules: [DefinitionName: TunnelConfiguration]
    private let overrides: UpstreamOverrides
    private let limits: EgressServerLimits
    private let pool: NIOThreadPool
    private let bodies: BodyBytes
    private let upstreams: UpstreamPools
    private let contexts = TLSClientContexts()
    private let group: MultiThreadedEventLoopGroup
    private let resolver: any EgressResolver
    private let recorder: any EgressRecorder
    private let wall: @Sendable () -> UInt64
    private let logger: Logger

    /// Reads the rules; throws `EgressError` when they cannot be used. `own` are the addresses of this machine, `ports` those
    /// of a sandbox's own listeners; large requests are checked on `pool`; `wall` returns milliseconds since 1970. Starts nothing.
    package init(
        configuration: EgressServerConfiguration, own: Set<EgressAddress>, ports: Set<UInt16>,
        limits: EgressServerLimits = EgressServerLimits(), group: MultiThreadedEventLoopGroup,
        pool: NIOThreadPool = .singleton,
        resolver: any EgressResolver, recorder: any EgressRecorder, wall: @escaping @Sendable () -> UInt64,
        logger: Logger
    ) throws {
        var rules: [DefinitionName: TunnelConfiguration] = [:]
        for (name, entries) in configuration.entries {
            rules[name] = TunnelConfiguration(
                rules: try EgressRules(parsing: entries, file: "of the profile \(name)"),
                addresses: AddressRules(own: own), listenerPorts: ports)
        }
        self.rules = rules
        self.configuration = configuration
        self.overrides = UpstreamOverrides(configuration.overrides)
        self.limits = limits
        self.pool = pool
        self.bodies = BodyBytes(limit: limits.bodies)
        self.upstreams = UpstreamPools(group.makeIterator())
        self.group = group
        self.resolver = resolver
        self.recorder = recorder
        self.wall = wall
        self.logger = logger
    }

    /// Opens the socket for shims and accepts on a thread of its own, for the life of the process. A file that is there is
    /// replaced: the directory belongs to this user alone. Throws `EgressServerError`.
    package func start() throws(EgressServerError) {
        let path = self.configuration.socket
        _ = unsafe unlink(path)
        let listener = unsafe orc_listen_unix(path)
        guard listener >= 0 else {
            throw EgressServerError(
                code: .socket, message: "the socket \(path) cannot be opened: errno \(-listener)")
        }
        let thread = Thread {
            while true { self.accept(listener) }
        }
        thread.name = "egress-accept"
        thread.start()
    }

    private func accept(_ listener: Int32) {
        guard Descriptors.waitUntilReadable(listener, milliseconds: -1) else { return }
        let connection = orc_accept_same_user(listener)
        guard connection >= 0 else {
            // Without descriptors it would fail again and again at once.
            if connection != -EAGAIN { Thread.sleep(forTimeInterval: 0.2) }
            return
        }
        switch Descriptors.receiveHello(connection) {
        case .listener(let hello, let socket): self.serve(hello, listener: socket, until: connection)
        case .probe: close(connection)
        case .malformed:
            close(connection)
            self.logger.warning("a listener was not handed over", metadata: ["reason": "malformed hello"])
        }
    }

    /// Serves the listening socket until the peer closes `connection`. Owns both descriptors.
    package func serve(_ hello: EgressHello, listener: Int32, until connection: Int32) {
        let recorder = LaunchRecorder(self.recorder, self.limits)
        let surroundings = self.surroundings(hello, recorder)
        let connections = LaunchConnections(self.limits)
        let logger = self.logger
        let serving = ServerBootstrap(group: self.group)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPauseHandler())
                }
            }
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let answer = try connections.add(channel)
                    try channel.pipeline.syncOperations.addHandler(
                        TunnelHandler(
                            surroundings, channel: channel, refusal: answer == .refuse ? .tooManyTunnels : nil))
                }
            }
            .withBoundSocket(listener)
        let peer = ClientBootstrap(group: self.group).withConnectedSocket(connection)
        let loop = self.group.next()
        let end: @Sendable () -> Void = {
            connections.end()
            recorder.flush(on: loop)
            serving.whenSuccess { $0.close(promise: nil) }
        }
        peer.whenComplete { result in
            switch result {
            case .success(let channel): channel.closeFuture.whenComplete { _ in end() }
            case .failure: end()
            }
        }
        serving.whenFailure { error in
            logger.error("a listener cannot be served", metadata: ["reason": "\(error)", "job.id": "\(hello.job)"])
            peer.whenSuccess { $0.close(promise: nil) }
        }
    }

    private func surroundings(_ hello: EgressHello, _ recorder: LaunchRecorder) -> TunnelSurroundings {
        // A profile that is gone allows nothing.
        var configuration = self.rules[hello.profile] ?? TunnelConfiguration(rules: .nothing)
        configuration.launchSecret = hello.secret
        return TunnelSurroundings(
            caller: EgressCaller(
                workspace: hello.workspace, job: hello.job, launch: hello.launch,
                definition: hello.definition),
            generation: self.configuration.generation,
            configuration: configuration, limits: self.limits, resolver: self.resolver, overrides: self.overrides,
            recorder: recorder, authorityFile: self.configuration.authorityFile,
            contexts: self.contexts, upstreams: self.upstreams,
            bodies: [BodyBytes(limit: self.limits.launchBodies), self.bodies], pool: self.pool, wall: self.wall)
    }
}
