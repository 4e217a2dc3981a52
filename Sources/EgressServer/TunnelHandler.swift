internal import Egress
internal import NIOCore
internal import NIOPosix

/// One connection of a sandbox: gives what happens to the `TunnelMachine` and performs its actions in order. All of it runs
/// on the event loop of the connection, also the connection to the server.
final class TunnelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    let surroundings: TunnelSurroundings
    var machine: TunnelMachine
    /// Actions that wait, in order.
    var actions: [TunnelAction] = []
    /// The connection to the caller.
    let channel: any Channel
    /// The connection to the server.
    var upstream: (any Channel)?
    var isAwaitingAudit = false
    /// The machine is done, and the caller may read the rest of its answer.
    var isClosing = false
    var hasCallerEnded = false
    var deadline: Scheduled<Void>?
    /// The handler of the connection to the server.
    var upstreamHandler: UpstreamHandler?
    /// Writes to the server that have not ended, and when the last one began.
    var unsent = 0
    /// Bytes of the body that are counted as held.
    private var heldBody = 0
    /// A check of the body is under way, on a thread that holds it.
    var isChecking = false
    /// Ends a call that takes too long.
    var callDeadline: Scheduled<Void>?
    var forwardedAt: NIODeadline
    var lastActivity: NIODeadline
    let startedAt: NIODeadline
    /// When the dials of this connection must have ended, once the first has begun.
    var dialsUntil: NIODeadline?
    /// How soon a server that had closed a kept connection is seen to have done so.
    private static let repeatLimit = TimeAmount.milliseconds(200)
    /// Why the connection is refused without a look at its bytes.
    private let refusal: EgressReason?

    var loop: any EventLoop { self.channel.eventLoop }

    /// With `refusal` the connection is answered and closed at once.
    init(_ surroundings: TunnelSurroundings, channel: any Channel, refusal: EgressReason?) {
        self.surroundings = surroundings
        self.machine = TunnelMachine(
            surroundings.configuration, callID: String(UInt64.random(in: 0...(.max)), radix: 16))
        self.channel = channel
        self.refusal = refusal
        let now = channel.eventLoop.now
        (self.lastActivity, self.startedAt, self.forwardedAt) = (now, now, now)
    }

    // MARK: - The caller

    func channelActive(context: ChannelHandlerContext) {
        if let refusal = self.refusal {
            return self.enqueue(self.machine.refuse(refusal, "this launch has too many connections"))
        }
        self.setDeadline(self.surroundings.limits.head)
        self.updateReads()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = self.unwrapInboundIn(data)
        guard !self.isClosing else { return }
        self.lastActivity = self.loop.now
        // An end of input makes NIO read what is left, whatever was asked for, also while a decision waits for the trail.
        guard !self.isAwaitingAudit, self.actions.isEmpty, self.machine.isTransparent, let upstream = self.upstream
        else {
            var actions = self.machine.received(Array(buffer.readableBytesView))
            if self.heldBody == 0, !self.machine.isClosed, let length = self.machine.bodyLength, length > 0 {
                if self.surroundings.takeBody(length) {
                    self.heldBody = length
                } else {
                    actions = self.machine.refuseBody("the requests that are under way have too many bytes together")
                }
            }
            return self.enqueue(actions)
        }
        self.machine.relayed(fromCaller: buffer.readableBytes, fromServer: 0)
        upstream.write(buffer, promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        self.upstream?.flush()
        self.updateReads()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { self.updateReads() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
        self.hasCallerEnded = true
        if !self.isClosing { self.enqueue(self.machine.receivedEndOfInput()) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.hasCallerEnded = true
        // Nobody is left to read an answer, so that the end of the server need not be awaited.
        self.enqueue(self.machine.receivedEndOfInput())
        self.enqueue(self.machine.receivedEndFromServer())
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: - The server

    func receivedFromServer(_ buffer: ByteBuffer) {
        guard !self.isClosing else { return }
        self.lastActivity = self.loop.now
        guard !self.isAwaitingAudit, self.actions.isEmpty, self.machine.isTransparent else {
            return self.enqueue(self.machine.receivedFromServer(Array(buffer.readableBytesView)))
        }
        self.machine.relayed(fromCaller: 0, fromServer: buffer.readableBytes)
        self.channel.write(buffer, promise: nil)
    }

    func serverReadComplete() {
        self.channel.flush()
        self.updateReads()
    }

    func serverEnded() {
        guard !self.isClosing else { return }
        if self.loop.now - self.forwardedAt > Self.repeatLimit { self.machine.forbidRepeat() }
        self.enqueue(self.machine.receivedEndFromServer())
    }

    // MARK: - Actions

    func enqueue(_ actions: [TunnelAction]) {
        self.actions += actions
        self.performActions()
    }

    /// Performs actions until one has to wait.
    func performActions() {
        while !self.isAwaitingAudit, !self.actions.isEmpty { self.perform(self.actions.removeFirst()) }
        self.updateReads()
    }

    /// Reads what can be handed on: nothing while an action waits, and from each side as long as the other one takes bytes.
    func updateReads() {
        if self.isClosing { return self.channel.read() }
        guard !self.isAwaitingAudit, self.actions.isEmpty else { return }
        if self.machine.wantsCallerBytes, self.upstream?.isWritable ?? true { self.channel.read() }
        if self.channel.isWritable { self.upstream?.read() }
    }

    private func perform(_ action: TunnelAction) {
        switch action {
        case .check(let check): self.check(check)
        case .resolve(let name): self.resolve(name)
        case .dial(let address, let port): self.dial(address, port)
        case .record(let event), .admit(let event): self.record(event)
        case .answer(let bytes): self.channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        case .forward(let bytes): self.forward(bytes)
        case .wait(let seconds): self.wait(seconds)
        case .endAnswer: Self.endOutput(of: self.channel)
        case .endForward: if let upstream = self.upstream { Self.endOutput(of: upstream) }
        case .close: self.close()
        }
    }

    /// Closes one direction after all that was written.
    private static func endOutput(of channel: any Channel) {
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in channel.close(mode: .output, promise: nil) }
    }

    /// Releases the space for the body, once nothing holds it.
    func giveBody() {
        guard self.isClosing, !self.isChecking else { return }
        for bytes in self.surroundings.bodies { bytes.give(self.heldBody) }
        self.heldBody = 0
    }

    /// Closes both connections. The caller's goes on to be read for a moment: a close with unread bytes would be a reset,
    /// which takes the answer with it.
    private func close() {
        guard !self.isClosing else { return }
        self.isClosing = true
        self.deadline?.cancel()
        self.callDeadline?.cancel()
        self.giveBody()
        self.leaveUpstream()
        let (channel, limits, loop) = (self.channel, self.surroundings.limits, self.loop)
        let last = loop.scheduleTask(in: limits.drain) { channel.close(promise: nil) }
        channel.writeAndFlush(ByteBuffer()).assumeIsolated().whenComplete { _ in
            last.cancel()
            guard !self.hasCallerEnded else { return channel.close(promise: nil) }
            channel.close(mode: .output, promise: nil)
            loop.scheduleTask(in: limits.close) { channel.close(promise: nil) }
        }
    }
}
