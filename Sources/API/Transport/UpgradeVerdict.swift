internal import NIOCore
internal import NIOHTTP1

/// The decision about a request for a WebSocket.
enum UpgradeVerdict: Sendable {
    /// With the headers of the answer in addition to those of the handshake.
    case accept(TerminalSocket, HTTPHeaders)
    case refuse(HTTPResponseHead, ByteBuffer)
}
