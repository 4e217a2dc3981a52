internal import Domain
internal import NIOCore
internal import NIOHTTP1

/// Collects the body of a response with status 200, up to a limit.
final class DocumentHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let limit: Int
    private let promise: EventLoopPromise<[UInt8]>
    private var bytes: [UInt8] = []

    init(limit: Int, promise: EventLoopPromise<[UInt8]>) {
        self.limit = limit
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .head(let head):
            guard head.status == .ok else { return self.fail(context, "the answer has status \(head.status.code)") }
        case .body(let part):
            guard self.bytes.count + part.readableBytes <= self.limit else {
                return self.fail(context, "it has more than \(self.limit) bytes")
            }
            self.bytes.append(contentsOf: part.readableBytesView)
        case .end: self.promise.succeed(self.bytes)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.promise.fail(
            CredentialsError(code: .unreachable, message: "the connection was closed before the document's end"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.promise.fail(error)
        context.close(promise: nil)
    }

    private func fail(_ context: ChannelHandlerContext, _ reason: String) {
        self.promise.fail(CredentialsError(code: .malformedDocument, message: "the document is refused: \(reason)"))
        context.close(promise: nil)
    }
}
