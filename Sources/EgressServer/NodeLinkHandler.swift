internal import NIOCore

/// Reads the acknowledgements of the node: one number a line.
final class NodeLinkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let acknowledged: (UInt64) -> Void
    private let ended: () -> Void
    private var digits: [UInt8] = []

    /// The longest line: the digits of a number of 64 bits.
    private static let limit = 20

    init(acknowledged: @escaping (UInt64) -> Void, ended: @escaping () -> Void) {
        self.acknowledged = acknowledged
        self.ended = ended
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        for byte in self.unwrapInboundIn(data).readableBytesView {
            guard byte == UInt8(ascii: "\n") else {
                if self.digits.count <= Self.limit { self.digits.append(byte) }
                continue
            }
            if let number = UInt64(String(decoding: self.digits, as: UTF8.self)) { self.acknowledged(number) }
            self.digits = []
        }
    }

    func channelInactive(context: ChannelHandlerContext) { self.ended() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
