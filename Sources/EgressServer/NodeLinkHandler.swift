internal import NIOCore

/// Reads the acknowledgements of the node: a number a line, and what `EgressAcknowledgement` has to add.
final class NodeLinkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let acknowledged: (UInt64, EgressAcknowledgement) -> Void
    private let ended: () -> Void
    private var line: [UInt8] = []

    /// The longest line in bytes: more than a number, a credential and a sentence.
    private static let limit = 64 * 1024

    init(acknowledged: @escaping (UInt64, EgressAcknowledgement) -> Void, ended: @escaping () -> Void) {
        self.acknowledged = acknowledged
        self.ended = ended
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        for byte in self.unwrapInboundIn(data).readableBytesView {
            guard byte == UInt8(ascii: "\n") else {
                if self.line.count <= Self.limit { self.line.append(byte) }
                continue
            }
            let digits = self.line.prefix { $0 != UInt8(ascii: " ") }
            if let number = UInt64(String(decoding: digits, as: UTF8.self)),
                let acknowledgement = EgressAcknowledgement(decoding: self.line.dropFirst(digits.count))
            {
                self.acknowledged(number, acknowledgement)
            }
            self.line = []
        }
    }

    func channelInactive(context: ChannelHandlerContext) { self.ended() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
