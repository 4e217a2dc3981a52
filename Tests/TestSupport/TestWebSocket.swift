internal import NIOCore
internal import NIOPosix

/// A WebSocket client that hides nothing: every frame is made and read here.
package struct TestWebSocket {
    package struct Frame: Sendable {
        package let opcode: UInt8
        package let payload: [UInt8]
        package var text: String { String(decoding: self.payload, as: UTF8.self) }
        /// Of a close frame.
        package var code: Int { self.payload.count >= 2 ? Int(self.payload[0]) << 8 | Int(self.payload[1]) : 0 }
    }

    /// What the server answered to the request for an upgrade.
    package let answer: String
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private let frames: AsyncStream<Frame>

    /// Connects and asks for the upgrade; the body runs whatever the answer is.
    package static func with(
        port: Int, path: String, headers: [String], _ body: (TestWebSocket) async throws -> Void
    ) async throws {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        try await channel.executeThenClose { inbound, outbound in
            let lines =
                [
                    "GET \(path) HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket",
                    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                ] + headers
            try await outbound.write(ByteBuffer(string: lines.joined(separator: "\r\n") + "\r\n\r\n"))
            let (frames, feed) = AsyncStream.makeStream(of: Frame.self)
            let (answers, heads) = AsyncStream.makeStream(of: String.self)
            let reading = Task {  // cancelled below, when the body is done
                var bytes: [UInt8] = []
                var isUpgraded = false
                do {
                    for try await buffer in inbound {
                        bytes += Array(buffer.readableBytesView)
                        if !isUpgraded, let end = Self.endOfHead(bytes) {
                            let head = String(decoding: bytes[..<end], as: UTF8.self)
                            isUpgraded = head.hasPrefix("HTTP/1.1 101")
                            if isUpgraded { bytes.removeFirst(end) }
                            heads.yield(isUpgraded ? head : String(decoding: bytes, as: UTF8.self))
                        }
                        while isUpgraded, let frame = Self.frame(&bytes) { feed.yield(frame) }
                    }
                } catch {}
                heads.finish()
                feed.finish()
            }
            defer { reading.cancel() }
            var answer = ""
            for await head in answers {
                answer = head
                break
            }
            try await body(TestWebSocket(answer: answer, outbound: outbound, frames: frames))
        }
    }

    /// Frames until the server closes.
    package func next() async -> Frame? {
        for await frame in self.frames { return frame }
        return nil
    }

    package func send(_ text: String) async throws { try await self.send(opcode: 1, Array(text.utf8)) }

    /// A frame, masked as a client must unless it is to break that rule.
    package func send(opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, isMasked: Bool = true) async throws {
        var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | opcode]
        let flag: UInt8 = isMasked ? 0x80 : 0
        switch payload.count {
        case ..<126: bytes.append(flag | UInt8(payload.count))
        case ..<65_536: bytes += [flag | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default: bytes += [flag | 127] + (0..<8).reversed().map { UInt8(payload.count >> ($0 * 8) & 255) }
        }
        let mask: [UInt8] = [1, 2, 3, 4]
        if isMasked { bytes += mask }
        bytes += isMasked ? payload.enumerated().map { $0.element ^ mask[$0.offset % 4] } : payload
        try await self.outbound.write(ByteBuffer(bytes: bytes))
    }

    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in 3..<bytes.count where bytes[(index - 3)...index].elementsEqual([13, 10, 13, 10]) {
            return index + 1
        }
        return nil
    }

    private static func frame(_ bytes: inout [UInt8]) -> Frame? {
        guard bytes.count >= 2 else { return nil }
        var (length, start) = (Int(bytes[1] & 0x7f), 2)
        let extra = length == 126 ? 2 : length == 127 ? 8 : 0
        if extra > 0 {
            guard bytes.count >= 2 + extra else { return nil }
            length = bytes[2..<(2 + extra)].reduce(0) { $0 << 8 | Int($1) }
            start += extra
        }
        guard bytes.count >= start + length else { return nil }
        let frame = Frame(opcode: bytes[0] & 15, payload: Array(bytes[start..<(start + length)]))
        bytes.removeFirst(start + length)
        return frame
    }
}
