internal import NIOCore
internal import NIOHTTP1

/// The two handlers around the HTTP parser of one connection that apply `RequestFraming`: `bytes` before it, `parts`
/// after it. Confined to the connection's event loop.
struct FramingFilter {
    let bytes: Bytes
    let parts: Parts

    /// What both handlers share.
    fileprivate final class Shared {
        var framing = RequestFraming()
    }

    init() {
        let shared = Shared()
        self.bytes = Bytes(shared)
        self.parts = Parts(shared)
    }

    /// Hands bytes to the parser in slices that end where messages end.
    final class Bytes: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = ByteBuffer
        typealias InboundOut = ByteBuffer

        private let shared: Shared

        fileprivate init(_ shared: Shared) { self.shared = shared }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var buffer = self.unwrapInboundIn(data)
            while true {
                switch self.shared.framing.step(&buffer) {
                case .pass(let slice): context.fireChannelRead(self.wrapInboundOut(slice))
                case .wait: return
                case .refuse(let error):
                    context.fireErrorCaught(error)
                case .close:
                    context.close(promise: nil)
                    return
                }
            }
        }
    }

    /// Reports what the parser has read, and refuses heads that the parser accepts and this API does not.
    final class Parts: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias InboundOut = HTTPServerRequestPart

        private let shared: Shared
        private var hasFailed = false

        fileprivate init(_ shared: Shared) { self.shared = shared }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !self.hasFailed else { return }
            switch self.unwrapInboundIn(data) {
            case .head(let head):
                do throws(HTTPParserError) {
                    let resolved = try Self.checked(head)
                    self.shared.framing.receivedHead(head)
                    context.fireChannelRead(self.wrapInboundOut(.head(resolved)))
                } catch {
                    self.errorCaught(context: context, error: error)
                }
            case .body(let bytes):
                self.shared.framing.receivedBody(bytes.readableBytes)
                context.fireChannelRead(data)
            case .end:
                self.shared.framing.receivedEnd()
                context.fireChannelRead(data)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            guard error is HTTPParserError else { return context.fireErrorCaught(error) }
            // One refusal is enough: what follows it on this connection is dropped.
            guard !self.hasFailed else { return }
            self.hasFailed = true
            self.shared.framing.failed()
            context.fireErrorCaught(error)
        }

        private static func checked(_ head: HTTPRequestHead) throws(HTTPParserError) -> HTTPRequestHead {
            // One coding, and none in the version that does not define it: no intermediary can then have read the
            // end of the body elsewhere.
            let codings = head.headers["transfer-encoding"].map { $0.lowercased() }
            guard codings.isEmpty || (codings == ["chunked"] && head.version == .http1_1) else { throw .unknown }
            return try RequestLine.resolved(head)
        }
    }
}
