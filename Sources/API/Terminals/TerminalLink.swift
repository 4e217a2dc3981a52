internal import Domain
internal import NIOCore
internal import NIOWebSocket
internal import ShimProtocol
internal import Synchronization

/// What the tasks of one WebSocket share.
final class TerminalLink: Sendable {
    /// What happens on a WebSocket, in one order.
    enum Item: Sendable {
        case frame(WebSocketFrame)
        case output(AgentOutput)
        case receipt(Domain.RequestID, MessageLedger.Receipt)
        case problem(String, Problem)
        case end(ExitRecord)
        /// The terminal cannot be followed.
        case failure
        case ping
        case revoked
        /// The client has gone.
        case over
    }

    /// A message that is to be typed.
    struct Input: Sendable {
        let input: TerminalInput
        let key: Domain.RequestID
        let until: MessageLedger.Stage
        /// Its place among the agent's messages, given back when it is done.
        let ticket: StreamTicket
    }

    let channel: any Channel
    let outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
    let feed: AsyncStream<Item>.Continuation
    let inputs: AsyncStream<Input>.Continuation
    let output = AsyncSemaphore(8)
    let frames = AsyncSemaphore(32)
    let pinging = KeepAlivePending()
    let lastSign = Mutex(ContinuousClock.now)

    init(
        _ channel: any Channel, _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>,
        _ feed: AsyncStream<Item>.Continuation, _ inputs: AsyncStream<Input>.Continuation
    ) {
        self.channel = channel
        self.outbound = outbound
        self.feed = feed
        self.inputs = inputs
    }

    /// Sends a document as a text frame; throws when the connection is gone.
    func send(_ value: JSONValue) async throws {
        try await self.write(WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(bytes: value.bytes)))
    }

    /// Sends a frame. A client that does not read it in time has its connection closed; throws when it is gone.
    func write(_ frame: WebSocketFrame) async throws {
        let channel = self.channel
        let deadline = channel.eventLoop.scheduleTask(in: HTTPConversation.writeTime) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        try await self.outbound.write(frame)
    }
}
