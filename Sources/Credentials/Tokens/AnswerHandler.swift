internal import Domain
internal import NIOCore
internal import NIOHTTP1

/// Collects a response whose body has at most `limit` bytes.
final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let limit: Int
    private let promise: EventLoopPromise<HTTPAnswer>
    private var head: HTTPResponseHead?
    private var bytes: [UInt8] = []

    init(limit: Int, promise: EventLoopPromise<HTTPAnswer>) {
        self.limit = limit
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body(let part):
            guard self.bytes.count + part.readableBytes <= self.limit else {
                self.promise.fail(
                    CredentialsError(
                        code: .malformedDocument, message: "the answer has more than \(self.limit) bytes"))
                return context.close(promise: nil)
            }
            self.bytes.append(contentsOf: part.readableBytesView)
        case .end:
            guard let head = self.head else { return }
            self.promise.succeed(
                HTTPAnswer(
                    status: Int(head.status.code), headers: head.headers.map { ($0.name, $0.value) }, body: self.bytes))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.promise.fail(
            CredentialsError(code: .unreachable, message: "the connection was closed before the answer's end"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.promise.fail(error)
        context.close(promise: nil)
    }
}
