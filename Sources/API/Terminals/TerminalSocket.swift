internal import Audit
internal import Domain
internal import Foundation
internal import Jobs
internal import Logging
internal import NIOCore
internal import NIOWebSocket
internal import ShimProtocol
internal import Synchronization

/// One agent's terminal over a WebSocket: its output as it comes, and messages with receipts, ten a second.
///
/// Both sides send JSON in text frames. The server sends `output` (offset, next, bytes in base 64), `receipt`, `error` and
/// `end`; the client sends `input` (message_id, text, until) and `keys`
/// (message_id, keys, until).
struct TerminalSocket: Sendable {
    let agent: AgentAccess
    let offset: UInt64
    let principal: Principal
    let gatekeeper: Gatekeeper
    let requestID: String
    /// Its place among the open streams.
    let ticket: StreamTicket

    typealias Item = TerminalLink.Item
    typealias Input = TerminalLink.Input

    /// Three pings.
    private static let silenceLimit = Duration.seconds(45)
    private static let pingInterval = Duration.seconds(15)
    /// How long a close may take to reach a client that does not read.
    private static let closeGrace = Duration.seconds(2)

    var services: APIServices { self.gatekeeper.services }

    /// Serves the socket until either side closes it; never throws.
    func run(on channel: WebSocketChannel) async {
        do {
            try await channel.executeThenClose { inbound, outbound in
                // Bounded by the semaphores, by the messages in flight, and by one signal of each kind at a time.
                let (items, feed) = AsyncStream.makeStream(of: Item.self)
                let (inputs, queue) = AsyncStream.makeStream(of: Input.self)
                let link = TerminalLink(channel.channel, outbound, feed, queue)
                let code = await self.converse(inbound, items, inputs, link)
                var data = ByteBuffer()
                data.write(webSocketErrorCode: code)
                try await link.write(WebSocketFrame(fin: true, opcode: .connectionClose, data: data))
            }
        } catch {
            self.services.logger.trace("a terminal's connection ended", error: error)
        }
    }

    /// Serves until one side ends the conversation; the code to close with.
    private func converse(
        _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>, _ items: AsyncStream<Item>,
        _ inputs: AsyncStream<Input>, _ link: TerminalLink
    ) async -> WebSocketErrorCode {
        await withDiscardingTaskGroup(returning: WebSocketErrorCode.self) { group in
            group.addTask { await self.receive(inbound, link) }
            group.addTask { link.feed.yield(await self.follow(link)) }
            group.addTask { await self.type(inputs, link) }
            group.addTask { await self.watchCredential(link) }
            group.addTask { await self.watchSilence(link) }
            defer {
                link.inputs.finish()
                group.cancelAll()
            }
            var conversation = WebSocketConversation()
            let code: WebSocketErrorCode
            do {
                code = try await self.serve(items, &conversation, link)
            } catch let closing as WebSocketClosing {
                code = closing.code
            } catch {
                code = .goingAway
            }
            await self.recordRefusals(&conversation)
            return code
        }
    }

    // MARK: - What the other tasks do

    private func receive(_ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>, _ link: TerminalLink) async {
        do {
            for try await frame in inbound {
                link.lastSign.withLock { $0 = .now }
                try await link.frames.take()
                link.feed.yield(.frame(frame))
            }
        } catch {
            self.services.logger.trace("a terminal's connection failed", error: error)
        }
        link.feed.yield(.over)
    }

    private func follow(_ link: TerminalLink) async -> Item {
        do {
            return .end(
                try await self.agent.output(from: self.offset) { part in
                    try await link.output.take()
                    link.feed.yield(.output(part))
                })
        } catch {
            return .failure
        }
    }

    private func watchCredential(_ link: TerminalLink) async {
        guard await StreamGuardian(services: self.services, principal: self.principal).ended() else { return }
        link.feed.yield(.revoked)
        // A client that does not read does not get the close frame either.
        guard await ContinuousClock.elapsed(Self.closeGrace) else { return }
        link.channel.close(promise: nil)
    }

    private func watchSilence(_ link: TerminalLink) async {
        while await ContinuousClock.elapsed(Self.pingInterval) {
            guard ContinuousClock.now - link.lastSign.withLock({ $0 }) < Self.silenceLimit else {
                return link.channel.close(promise: nil)
            }
            if link.pinging.raise() { link.feed.yield(.ping) }
        }
    }

    // MARK: - What happens, in order

    private func serve(
        _ items: AsyncStream<Item>, _ conversation: inout WebSocketConversation, _ link: TerminalLink
    ) async throws -> WebSocketErrorCode {
        for await item in items {
            switch item {
            case .over: return .normalClosure
            case .revoked: return .policyViolation
            case .failure: return .unexpectedServerError
            case .frame(let frame):
                link.frames.give()
                if let code = try await self.take(frame, &conversation, link) { return code }
            case .output(let part):
                try await link.send([
                    "type": "output", "offset": .integer(Int64(clamping: part.offset)),
                    "next": .integer(Int64(clamping: part.next)),
                    "bytes": .string(Data(part.bytes).base64EncodedString()),
                ])
                link.output.give()
            case .receipt(let key, let receipt):
                conversation.inFlight -= 1
                let members = [JSONMember("type", "receipt"), JSONMember("message_id", .string(key.description))]
                try await link.send(.object(members + receipt.view))
            case .problem(let key, let problem):
                conversation.inFlight -= 1
                try await self.refuse(problem.code.rawValue, problem.detail, key, link)
            case .end(let record):
                try await link.send(["type": "end", "exit_status": .integer(Int64(record.code))])
                return .normalClosure
            case .ping:
                try await link.write(WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer()))
                link.pinging.lower()
                await self.recordRefusals(&conversation)
            }
        }
        return .goingAway
    }

    /// Takes up a frame; the code to close with when the client closes.
    private func take(
        _ frame: WebSocketFrame, _ conversation: inout WebSocketConversation, _ link: TerminalLink
    ) async throws -> WebSocketErrorCode? {
        switch try conversation.received(frame, at: .now) {
        case .nothing: break
        case .message(let bytes): try await self.take(bytes, &conversation, link)
        case .ping(let data): try await link.write(WebSocketFrame(fin: true, opcode: .pong, data: data))
        case .close(let code): return code
        }
        return nil
    }
}
