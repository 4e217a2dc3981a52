internal import Jobs
internal import Logging
internal import CoreMetrics
internal import Credentials
internal import Agents
internal import Audit
internal import Domain
internal import Foundation
internal import HTTPTypes
internal import NIOCore
internal import NIOWebSocket
internal import Policy
internal import ShimProtocol

/// One agent's terminal over a WebSocket: its output as it comes, and messages with receipts, ten a second.
///
/// Both sides speak JSON in text frames. From here: `output` (offset, bytes in base 64), `receipt`, `error`, `end`. From the
/// client: `input` (message_id, text, until).
struct TerminalSocket: Sendable {
    let agent: AgentDoor
    let offset: UInt64
    let principal: Principal
    let gatekeeper: Gatekeeper
    let requestID: String

    private enum Item: Sendable {
        case frame(WebSocketFrame)
        case output(UInt64, [UInt8])
        case receipt(Domain.RequestID, MessageLedger.Receipt)
        case problem(String, Problem)
        case end(ExitRecord?)
        case tick
        /// The client has gone.
        case over
    }

    /// What is decided about a connection as a whole.
    private struct Closing: Error {
        let code: WebSocketErrorCode
    }

    private static let messageLimit = 64 * 1024
    private static let fragmentLimit = 64
    /// Refused messages after which the client is shown out.
    private static let patience = 50
    /// Ticks without a sign of life: three pings.
    private static let silenceLimit = 45
    private static let pingInterval = 15
    /// Messages that may be on their way to the terminal at once.
    private static let inFlight = 16

    private var services: APIServices { self.gatekeeper.services }

    /// Gives back what was taken for it, when it is not run.
    func abandon() { self.services.streams.leave(self.principal.workspace) }

    func run(on channel: WebSocketChannel) async {
        defer { self.abandon() }
        do {
            try await channel.executeThenClose { inbound, outbound in
                var code = WebSocketErrorCode.normalClosure
                do {
                    try await self.converse(inbound, outbound)
                } catch let closing as Closing {
                    code = closing.code
                }
                var data = ByteBuffer()
                data.write(webSocketErrorCode: code)
                try await outbound.write(WebSocketFrame(fin: true, opcode: .connectionClose, data: data))
            }
        } catch {
            self.services.logger.debug("a terminal's connection ended", error: error)
        }
    }

    private func converse(
        _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>,
        _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
    ) async throws {
        let (items, feed) = AsyncStream.makeStream(of: Item.self, bufferingPolicy: .bufferingOldest(4096))
        try await withThrowingTaskGroup(of: Void.self) { group in
            let (output, frames) = (Room(8), Room(32))
            group.addTask {
                do {
                    for try await frame in inbound {
                        try await frames.take()
                        feed.yield(.frame(frame))
                    }
                } catch {}
                feed.yield(.over)
            }
            group.addTask {
                let record = try? await self.agent.output(from: self.offset) { place, bytes in
                    try await output.take()
                    feed.yield(.output(place, bytes))
                }
                feed.yield(.end(record ?? nil))
            }
            group.addTask {
                while (try? await ContinuousClock().sleep(for: .seconds(1))) != nil { feed.yield(.tick) }
            }
            defer { group.cancelAll() }
            var conversation = Conversation()
            for await item in items {
                switch item {
                case .over: return
                case .frame(let frame):
                    await frames.give()
                    conversation.silence = 0
                    if let message = try conversation.take(frame) {
                        try await self.take(message, &conversation, outbound, &group, feed)
                    } else if frame.opcode == .ping {
                        try await outbound.write(
                            WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData))
                    } else if frame.opcode == .connectionClose {
                        return
                    }
                case .output(let place, let bytes):
                    try await self.send(
                        [
                            "type": "output", "offset": .integer(Int64(clamping: place)),
                            "bytes": .string(Data(bytes).base64EncodedString()),
                        ], outbound)
                    await output.give()
                case .receipt(let key, let receipt):
                    conversation.finished(receipt.stage)
                    try await self.send(
                        .object(
                            [JSONMember("type", "receipt"), JSONMember("message_id", .string(key.description))]
                                + receipt.view), outbound)
                case .problem(let key, let problem):
                    conversation.inFlight -= 1
                    try await self.refuse(problem.code.rawValue, problem.detail, key, outbound)
                case .end(let record):
                    try await self.send(
                        ["type": "end", "exit_status": record.map { .integer(Int64($0.code)) } ?? .null], outbound)
                    return
                case .tick: try await self.tick(&conversation, outbound)
                }
            }
        }
    }

    private func tick(
        _ conversation: inout Conversation, _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
    ) async throws {
        conversation.silence += 1
        guard conversation.silence < Self.silenceLimit else { throw Closing(code: .goingAway) }
        guard await self.services.authenticator.isStillGood(self.principal) else {
            throw Closing(code: .policyViolation)
        }
        if conversation.silence % Self.pingInterval == 0 {
            try await outbound.write(WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer()))
        }
    }

    private func take(
        _ message: [UInt8], _ conversation: inout Conversation,
        _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>, _ group: inout ThrowingTaskGroup<Void, any Error>,
        _ feed: AsyncStream<Item>.Continuation
    ) async throws {
        guard conversation.rate.take(at: .now) else {
            conversation.refused += 1
            self.services.refusals.increment()
            try await self.refuse(
                "rate-limited", "more than ten messages in a second; the message was not read", nil, outbound)
            guard conversation.refused < Self.patience else { throw Closing(code: .policyViolation) }
            return
        }
        let input: (text: String, key: Domain.RequestID, until: MessageLedger.Stage)
        do {
            input = try Self.read(message)
            let decision = self.services.policy.authorize(
                self.principal, .typeToAgent, in: self.principal.workspace)
            if case .deny(let denial) = decision { throw Problem(.forbidden, denial.reason, rule: denial.rule) }
            guard conversation.inFlight < Self.inFlight else {
                throw Problem(.rateLimited, "\(Self.inFlight) messages are on their way already")
            }
        } catch let problem as Problem {
            return try await self.refuse(problem.code.rawValue, problem.detail, nil, outbound)
        } catch let error as DomainError {
            return try await self.refuse("invalid-request", error.message, nil, outbound)
        }
        conversation.inFlight += 1
        group.addTask {
            do {
                let last = try await self.agent.type(input.text, key: input.key, until: input.until) {
                    self.event(input.key, digest: $0)
                }
                feed.yield(.receipt(input.key, last))
            } catch is CancellationError {
                return
            } catch let problem as Problem {
                feed.yield(.problem(input.key.description, problem))
            } catch {
                feed.yield(
                    .problem(
                        input.key.description,
                        Problem(.unavailable, "the message could not be written down, so it was not typed")))
            }
        }
    }

    private static func read(_ message: [UInt8]) throws -> (String, Domain.RequestID, MessageLedger.Stage) {
        guard let value = try? JSONParser.parse(message), value.members != nil else {
            throw Problem(.malformed, "a message must be one strict JSON object")
        }
        var body = BodyReader(value)
        guard try body.text("type") == "input" else { throw Problem(.invalid, "'type' must be input") }
        let (text, key) = (try body.text("text"), try Domain.RequestID(try body.text("message_id")))
        let until = try body.optionalText("until") ?? "written"
        try body.finish()
        guard let stage = MessageLedger.Stage.allCases.first(where: { $0.name == until }), stage != .refused else {
            throw Problem(.invalid, "'until' must be one of queued, written, consumed, answered")
        }
        return (text, key, stage)
    }

    private func event(_ key: Domain.RequestID, digest: [UInt8]) -> [UInt8] {
        var event = AuditEvent(
            kind: .typed, workspace: self.principal.workspace, actor: self.principal.actor, action: key.description,
            jobID: self.agent.job.id, status: "asked", rule: "websocket", duration: .zero, errorReason: "",
            paramsDigest: digest, node: self.services.node, time: self.services.now())
        event.requestID = self.requestID
        return event.encoded
    }

    private func refuse(
        _ code: String, _ detail: String, _ key: String?,
        _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
    ) async throws {
        try await self.send(
            [
                "type": "error", "code": .string(code), "detail": .string(detail),
                "message_id": key.map { .string($0) } ?? .null,
            ], outbound)
    }

    private func send(_ value: JSONValue, _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>) async throws {
        try await outbound.write(
            WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(bytes: value.bytes)))
    }

    /// What is remembered of one connection; decides about frames and rates, and knows nothing of the network.
    struct Conversation {
        var rate = MessageRate()
        var refused = 0
        var silence = 0
        var inFlight = 0
        private var fragments: [UInt8]?
        private var fragmentCount = 0

        mutating func finished(_ stage: MessageLedger.Stage) { self.inFlight -= 1 }

        /// A whole message when the frame ends one; throws for what RFC 6455 forbids.
        mutating func take(_ frame: WebSocketFrame) throws -> [UInt8]? {
            guard frame.maskKey != nil, !frame.rsv1, !frame.rsv2, !frame.rsv3 else {
                throw Closing(code: .protocolError)
            }
            let data = Array(frame.unmaskedData.readableBytesView)
            switch frame.opcode {
            case .ping, .pong, .connectionClose:
                guard frame.fin, data.count <= 125 else { throw Closing(code: .protocolError) }
                return nil
            case .text:
                guard self.fragments == nil else { throw Closing(code: .protocolError) }
                self.fragments = data
            case .continuation:
                guard self.fragments != nil else { throw Closing(code: .protocolError) }
                self.fragments?.append(contentsOf: data)
                self.fragmentCount += 1
            case .binary: throw Closing(code: .unacceptableData)
            default: throw Closing(code: .protocolError)
            }
            guard let whole = self.fragments, whole.count <= TerminalSocket.messageLimit,
                self.fragmentCount <= TerminalSocket.fragmentLimit
            else { throw Closing(code: .messageTooLarge) }
            guard frame.fin else { return nil }
            (self.fragments, self.fragmentCount) = (nil, 0)
            guard String(validating: whole, as: UTF8.self) != nil else {
                throw Closing(code: .dataInconsistentWithMessage)
            }
            return whole
        }
    }
}

/// Ten at once, and ten more each second.
struct MessageRate: Sendable {
    private var tokens = 10.0
    private var last: ContinuousClock.Instant?

    mutating func take(at now: ContinuousClock.Instant) -> Bool {
        if let last = self.last {
            let passed = last.duration(to: now)
            let seconds = Double(passed.components.seconds) + Double(passed.components.attoseconds) / 1e18
            self.tokens = min(10, self.tokens + max(0, seconds) * 10)
        }
        self.last = now
        guard self.tokens >= 1 else { return false }
        self.tokens -= 1
        return true
    }
}
