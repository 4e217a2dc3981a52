internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1
internal import NIOWebSocket
internal import TransportSecurity

/// Sets up the API's connections and serves them.
struct APIChannel: ServerChildChannel {
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let negotiated: EventLoopFuture<Negotiated>
    }

    private let services: APIServices
    private let tls: TLSServerContext?
    private let connections: ConnectionRegistry
    private let conversation: HTTPConversation
    private let upgrades: UpgradeDecision

    init(
        services: APIServices, tls: TLSServerContext?, connections: ConnectionRegistry, anonymous: AnonymousAudit
    ) {
        self.services = services
        self.tls = tls
        self.connections = connections
        let pipeline = RequestPipeline(gatekeeper: Gatekeeper(services: services, anonymous: anonymous))
        self.upgrades = UpgradeDecision(pipeline: pipeline)
        self.conversation = HTTPConversation(
            pipeline: pipeline, configuration: services.configuration, connections: connections,
            logger: services.logger)
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        guard self.connections.add(channel) else {
            // The address has its share; the rest is for others.
            channel.close(promise: nil)
            return channel.eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel)
        }
        return channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            if let tls = self.tls { try pipeline.addHandler(try TLSServerHandler(context: tls)) }
            let encoder = HTTPResponseEncoder()
            let decoder = ByteToMessageHandler(
                HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: .api),
                maximumBufferSize: 128 * 1024)
            let framing = FramingFilter()
            try pipeline.addHandlers([encoder, framing.bytes, decoder, framing.parts])
            let negotiated = channel.eventLoop.makePromise(of: Negotiated.self)
            do {
                try pipeline.addHandler(self.gate(encoder, decoder, framing, negotiated, logger))
            } catch {
                negotiated.fail(error)
                throw error
            }
            return Value(channel: channel, negotiated: negotiated.futureResult)
        }.flatMapErrorThrowing { error in
            channel.close(promise: nil)  // nothing else would
            throw error
        }
    }

    private func gate(
        _ encoder: HTTPResponseEncoder, _ decoder: ByteToMessageHandler<HTTPRequestDecoder>,
        _ framing: FramingFilter, _ negotiated: EventLoopPromise<Negotiated>, _ logger: Logger
    ) -> UpgradeGate {
        let idle = Duration.seconds(self.services.configuration.idleTimeout)
        let (isSecure, upgrades) = (self.tls != nil, self.upgrades)
        return UpgradeGate(
            UpgradeGate.Parts(
                encoder: encoder, decoder: decoder, framing: framing,
                headTimeout: .seconds(Int64(self.services.configuration.headTimeout)), result: negotiated,
                decide: { await upgrades.decide($0, $1) },
                installHTTP: { channel in
                    try channel.pipeline.syncOperations.addHandlers([
                        ConnectionReader(), ReaderWatch(), HTTP1ToHTTPServerCodec(secure: isSecure),
                        HTTPConnectionStateHandler(idleTimeout: idle, logger: logger),
                    ])
                    return try NIOAsyncChannel(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true))
                },
                wrapWebSocket: { channel in
                    try channel.pipeline.syncOperations.addHandler(QuiesceCloser())
                    return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                }))
    }

    func handle(value: Value, logger: Logger) async {
        await withTaskCancellationHandler {
            do {
                switch try await value.negotiated.get() {
                case .http(let channel): await self.conversation.run(on: channel)
                case .webSocket(let channel, let socket):
                    self.connections.markBusy(channel.channel)
                    await socket.run(on: channel)
                }
            } catch {
                logger.trace("a connection ended before its first request", error: error)
            }
        } onCancel: {
            value.channel.close(promise: nil)
        }
    }
}
