internal import NIOCore
internal import NIOHTTPTypes
internal import NIOWebSocket

typealias HTTPChannel = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
typealias WebSocketChannel = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>

/// What a connection became with its first request.
enum Negotiated: Sendable {
    case http(HTTPChannel)
    case webSocket(WebSocketChannel, TerminalSocket)
}
