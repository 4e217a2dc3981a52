import Domain
import NIOCore
import NIOEmbedded
import Testing

@testable import TransportSecurity

/// What one end sees above TLS.
final class TLSRecorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var text = ""
    var events: [String] = []
    var errors: [TLSError] = []

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.text += String(buffer: self.unwrapInboundIn(data))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let peer as TLSPeer: self.events.append("peer \(peer.subject)")
        case is TLSHandshakeCompleted: self.events.append("completed")
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError { self.errors.append(error) }
    }

    func channelInactive(context: ChannelHandlerContext) { self.events.append("inactive") }
}

/// A client and a server whose bytes the test carries.
struct TLSBench {
    let client = EmbeddedChannel()
    let server = EmbeddedChannel()
    let clientSide = TLSRecorder()
    let serverSide = TLSRecorder()

    init(_ configuration: TLSConfiguration, _ context: TLSServerContext) throws {
        try self.client.pipeline.syncOperations.addHandler(TLSClientHandler(configuration: configuration))
        try self.client.pipeline.syncOperations.addHandler(self.clientSide)
        try self.server.pipeline.syncOperations.addHandler(TLSServerHandler(context: context))
        try self.server.pipeline.syncOperations.addHandler(self.serverSide)
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 443)
        try self.server.connect(to: address).wait()
        try self.client.connect(to: address).wait()
    }

    /// Carries bytes in both directions until there are none; `change` sees those of the client first.
    func carry(pieces: Int = .max, _ change: (inout ByteBuffer) -> Void = { _ in }) throws {
        while true {
            let forth = try self.client.readOutbound(as: ByteBuffer.self)
            let back = try self.server.readOutbound(as: ByteBuffer.self)
            if forth == nil, back == nil { return }
            if var forth {
                change(&forth)
                try Self.send(forth, pieces, to: self.server)
            }
            if let back { try Self.send(back, pieces, to: self.client) }
        }
    }

    private static func send(_ buffer: ByteBuffer, _ pieces: Int, to channel: EmbeddedChannel) throws {
        var rest = buffer
        while rest.readableBytes > 0, let piece = rest.readSlice(length: min(pieces, rest.readableBytes)) {
            try channel.writeInbound(piece)
        }
    }
}
