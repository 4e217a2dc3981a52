internal import NIOCore

/// Closes the connection of a stream whose reader has closed its side. Any other response is still sent then.
final class ReaderWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny
    typealias OutboundIn = NIOAny

    private var isStreaming = false
    private var isInputClosed = false

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard event is StreamBegan else { return context.triggerUserOutboundEvent(event, promise: promise) }
        self.isStreaming = true
        promise?.succeed()
        if self.isInputClosed { context.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed {
            self.isInputClosed = true
            if self.isStreaming { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }
}
