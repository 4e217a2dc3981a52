internal import NIOWebSocket

/// The reason to close a WebSocket, as the code to close it with.
struct WebSocketClosing: Error, Equatable {
    let code: WebSocketErrorCode
}
