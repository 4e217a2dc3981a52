/// What a connection became with its first request.
enum Negotiated: Sendable {
    case http(HTTPChannel)
    case webSocket(WebSocketChannel, TerminalSocket)
}
