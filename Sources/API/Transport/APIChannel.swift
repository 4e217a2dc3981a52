internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1
internal import NIOWebSocket
internal import Synchronization
internal import TransportSecurity

/// How the API's connections are set up and served.
struct APIChannel: HTTPChannelHandler {
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let negotiated: EventLoopFuture<Negotiated>
    }

    let services: APIServices
    let tls: TLSServerContext?
    let connections: ConnectionRegistry
    let responder: Responder
    private let upgrades: UpgradeDecision

    private static let limits = NIOHTTPDecoderLimitConfiguration.api

    init(services: APIServices, tls: TLSServerContext?, connections: ConnectionRegistry) {
        self.services = services
        self.tls = tls
        self.connections = connections
        self.upgrades = UpgradeDecision(gatekeeper: Gatekeeper(services: services))
        self.responder = Self.responder(Endpoint.router(services), services)
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        self.connections.add(channel)
        return channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            if let tls = self.tls { try pipeline.addHandler(try TLSServerHandler(context: tls)) }
            let encoder = HTTPResponseEncoder()
            let decoder = ByteToMessageHandler(
                HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: Self.limits),
                maximumBufferSize: 128 * 1024)
            try pipeline.addHandlers([encoder, decoder])
            let negotiated = channel.eventLoop.makePromise(of: Negotiated.self)
            let idle = Duration.seconds(self.services.configuration.idleTimeout)
            let isSecure = self.tls != nil
            let upgrades = self.upgrades
            let gate = UpgradeGate(
                UpgradeGate.Parts(
                    encoder: encoder, decoder: decoder,
                    headTimeout: .seconds(Int64(self.services.configuration.headTimeout)), result: negotiated,
                    decide: { await upgrades.decide($0, $1) },
                    installHTTP: { channel in
                        try channel.pipeline.syncOperations.addHandlers([
                            ConnectionReader(), HTTP1ToHTTPServerCodec(secure: isSecure),
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
            do { try pipeline.addHandler(gate) } catch {
                negotiated.fail(error)
                throw error
            }
            return Value(channel: channel, negotiated: negotiated.futureResult)
        }.flatMapErrorThrowing { error in
            channel.close(promise: nil)  // nobody else would
            throw error
        }
    }

    func handle(value: Value, logger: Logger) async {
        await withTaskCancellationHandler {
            guard let negotiated = try? await value.negotiated.get() else { return }
            switch negotiated {
            case .http(let channel): await self.handleHTTP(asyncChannel: channel, logger: logger)
            case .webSocket(let channel, let socket): await socket.run(on: channel)
            }
        } onCancel: {
            value.channel.close(promise: nil)
        }
    }

    /// What the client must not be able to keep open after its answer.
    private struct Closing: Error {}

    private static func responder(
        _ router: RouterResponder<APIContext>, _ services: APIServices
    ) -> Responder {
        let dates = DateHeader(now: services.now)
        return { request, writer, channel in
            let context = APIContext(source: .init(channel: channel, logger: services.logger))
            var response: Response
            do {
                response = try await router.respond(to: request, context: context)
            } catch let error as HTTPParserError {
                throw error  // answered below with a bare 400
            } catch {
                // The pipeline answers every error itself; this one came from around it.
                services.logger.error("a request was not answered", error: error)
                response = Problem(.failed, "the request failed for a reason of ours").response(requestID: "")
            }
            response.headers[.date] = dates.text
            if request.method == .head { response = response.createHeadResponse() }
            let closes = response.headers[.connection] == "close"
            do {
                try await writer.write(
                    response: HTTPResponse(status: response.status, headerFields: response.headers),
                    body: response.body)
            } catch is HTTPParserError {
                throw Closing()  // the head has been sent already
            }
            if closes { throw Closing() }
        }
    }
}

extension NIOHTTPDecoderLimitConfiguration {
    /// Eight kilobytes for a field and a request line, as the common servers have it.
    static var api: NIOHTTPDecoderLimitConfiguration {
        var configuration = NIOHTTPDecoderLimitConfiguration()
        configuration.maxHeaderFieldSize = 8 * 1024
        configuration.maxHeaderListSize = 32 * 1024
        configuration.maxHeaderFieldCount = 100
        return configuration
    }
}

/// Ends a WebSocket when the server stops.
private final class QuiesceCloser: ChannelInboundHandler {
    typealias InboundIn = NIOAny

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.fireChannelRead(data) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }
}

/// Every connection that is open, so that a stop can end those that would not end by themselves.
final class ConnectionRegistry: Sendable {
    private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

    func add(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        self.channels.withLock { $0[id] = channel }
        channel.closeFuture.whenComplete { _ in _ = self.channels.withLock { $0.removeValue(forKey: id) } }
    }

    func closeAll() {
        for channel in self.channels.withLock({ Array($0.values) }) { channel.close(promise: nil) }
    }
}

/// The time as HTTP writes it (RFC 9110 §5.6.7), made once a second.
private final class DateHeader: Sendable {
    private let last = Mutex<(second: UInt64, text: String)>((0, ""))
    private let now: @Sendable () -> UInt64

    init(now: @escaping @Sendable () -> UInt64) { self.now = now }

    var text: String {
        let second = self.now() / 1000
        return self.last.withLock { last in
            if last.second != second { last = (second, Self.format(second)) }
            return last.text
        }
    }

    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private static func format(_ second: UInt64) -> String {
        let (day, time) = Int(clamping: second).quotientAndRemainder(dividingBy: 86_400)
        // Civil from days (H. Hinnant, "chrono-compatible low-level date algorithms"), for days since 1970.
        let shifted = day + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
        return
            "\(self.days[day % 7]), \(two(dayOfMonth)) \(self.months[month - 1]) \(year) \(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60)) GMT"
    }
}
