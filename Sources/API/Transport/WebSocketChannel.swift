internal import NIOCore
internal import NIOWebSocket

/// A connection that speaks WebSocket, after its upgrade.
typealias WebSocketChannel = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>
