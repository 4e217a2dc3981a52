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
internal import Redaction
internal import ShimProtocol
internal import Synchronization

/// One agent's terminal over a WebSocket: its output as it comes, and messages with receipts, ten a second.
///
/// Both sides speak JSON in text frames. From here: `output` (offset, bytes in base 64), `receipt`, `error`, `end`. From the
/// client: `input` (message_id, text, until).
struct TerminalSocket: Sendable {
    let agent: AgentAccess
    let offset: UInt64
    let principal: Principal
    let gatekeeper: Gatekeeper
    let requestID: String
    /// Its place among the open streams.
    let ticket: StreamTicket

    private enum Item: Sendable {
        case frame(WebSocketFrame)
        case output(UInt64, [UInt8])
        case receipt(Domain.RequestID, MessageLedger.Receipt)
        case problem(String, Problem)
        case end(ExitRecord)
        /// The terminal cannot be followed.
        case failure
        case ping
        case revoked
        /// The client has gone.
        case over
    }

    /// What is decided about a connection as a whole.
    struct Closing: Error {
        let code: WebSocketErrorCode
    }

    private struct Input: Sendable {
        let text: String
        let key: Domain.RequestID
        let until: MessageLedger.Stage
    }

    /// What the tasks of one connection share.
    private final class Link: Sendable {
        let channel: any Channel
        let outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
        let feed: AsyncStream<Item>.Continuation
        let inputs: AsyncStream<Input>.Continuation
        let output = AsyncSemaphore(8)
        let frames = AsyncSemaphore(32)
        let isPinging = KeepAlivePending()
        let lastSign = Mutex(ContinuousClock.now)

        init(
            _ channel: any Channel, _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>,
            _ feed: AsyncStream<Item>.Continuation, _ inputs: AsyncStream<Input>.Continuation
        ) {
            self.channel = channel
            self.outbound = outbound
            self.feed = feed
            self.inputs = inputs
        }
    }

    /// Refused messages after which the client is shown out; one is forgotten with each that was not refused.
    private static let refusalLimit = 50
    /// Three pings.
    private static let silenceLimit = Duration.seconds(45)
    private static let pingInterval = Duration.seconds(15)
    /// Messages that may be on their way to the terminal at once.
    private static let inFlight = 16
    /// How long a close may take to reach who does not read.
    private static let closeGrace = Duration.seconds(2)

    private var services: APIServices { self.gatekeeper.services }

    func run(on channel: WebSocketChannel) async {
        do {
            try await channel.executeThenClose { inbound, outbound in
                let code = await self.converse(inbound, outbound, channel.channel)
                var data = ByteBuffer()
                data.write(webSocketErrorCode: code)
                try await self.write(
                    WebSocketFrame(fin: true, opcode: .connectionClose, data: data), outbound, channel.channel)
            }
        } catch {
            self.services.logger.trace("a terminal's connection ended", error: error)
        }
    }

    /// Talks until one side has enough; the code to close with.
    private func converse(
        _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>,
        _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>, _ channel: any Channel
    ) async -> WebSocketErrorCode {
        // Bounded by the rooms, by the messages in flight, and by one signal of each kind at a time.
        let (items, feed) = AsyncStream.makeStream(of: Item.self)
        let (inputs, queue) = AsyncStream.makeStream(of: Input.self)
        let link = Link(channel, outbound, feed, queue)
        return await withDiscardingTaskGroup(returning: WebSocketErrorCode.self) { group in
            group.addTask { await self.receive(inbound, link) }
            group.addTask { feed.yield(await self.follow(link)) }
            group.addTask { await self.type(inputs, link) }
            group.addTask { await self.guardCredential(link) }
            group.addTask { await self.guardLife(link) }
            defer {
                queue.finish()
                group.cancelAll()
            }
            do {
                return try await self.serve(items, link)
            } catch let closing as Closing {
                return closing.code
            } catch {
                return .goingAway
            }
        }
    }

    private func receive(_ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>, _ link: Link) async {
        do {
            for try await frame in inbound {
                link.lastSign.withLock { $0 = .now }
                try await link.frames.take()
                link.feed.yield(.frame(frame))
            }
        } catch {}
        link.feed.yield(.over)
    }

    private func follow(_ link: Link) async -> Item {
        do {
            return .end(
                try await self.agent.output(from: self.offset) { place, bytes in
                    try await link.output.take()
                    link.feed.yield(.output(place, bytes))
                })
        } catch {
            return .failure
        }
    }

    /// Types in the order of arrival: the next message goes when the one before has its first receipt.
    private func type(_ inputs: AsyncStream<Input>, _ link: Link) async {
        await withDiscardingTaskGroup { group in
            for await input in inputs {
                let turn = FirstReceipt()
                group.addTask {
                    link.feed.yield(await self.type(input, turn))
                    turn.over()
                }
                await turn.passed()
            }
            group.cancelAll()
        }
    }

    private func type(_ input: Input, _ turn: FirstReceipt) async -> Item {
        do {
            let last = try await self.agent.type(
                input.text, key: input.key, until: input.until, event: { self.event(input.key, digest: $0) },
                told: { _ in turn.over() })
            return .receipt(input.key, last)
        } catch let problem as Problem {
            return .problem(input.key.description, problem)
        } catch {
            return .problem(
                input.key.description,
                Problem(.unavailable, "the message could not be written down, so it was not typed"))
        }
    }

    private func guardCredential(_ link: Link) async {
        guard await StreamGuardian(services: self.services, principal: self.principal).ended() else { return }
        link.feed.yield(.revoked)
        // Who does not read does not hear of it either.
        guard (try? await ContinuousClock().sleep(for: Self.closeGrace)) != nil else { return }
        link.channel.close(promise: nil)
    }

    private func guardLife(_ link: Link) async {
        while (try? await ContinuousClock().sleep(for: Self.pingInterval)) != nil {
            guard ContinuousClock.now - link.lastSign.withLock({ $0 }) < Self.silenceLimit else {
                return link.channel.close(promise: nil)
            }
            if link.isPinging.raise() { link.feed.yield(.ping) }
        }
    }

    private func serve(_ items: AsyncStream<Item>, _ link: Link) async throws -> WebSocketErrorCode {
        var conversation = WebSocketConversation()
        for await item in items {
            switch item {
            case .over: return .normalClosure
            case .revoked: return .policyViolation
            case .failure: return .unexpectedServerError
            case .frame(let frame):
                await link.frames.give()
                if let message = try conversation.take(frame) {
                    try await self.take(message, &conversation, link)
                } else if frame.opcode == .ping {
                    try conversation.countControl()
                    try await self.write(
                        WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData), link.outbound, link.channel)
                } else if frame.opcode == .connectionClose {
                    return .normalClosure
                }
            case .output(let place, let bytes):
                try await self.send(
                    [
                        "type": "output", "offset": .integer(Int64(clamping: place)),
                        "bytes": .string(Data(bytes).base64EncodedString()),
                    ], link)
                await link.output.give()
            case .receipt(let key, let receipt):
                conversation.inFlight -= 1
                let members = [JSONMember("type", "receipt"), JSONMember("message_id", .string(key.description))]
                try await self.send(.object(members + receipt.view), link)
            case .problem(let key, let problem):
                conversation.inFlight -= 1
                try await self.refuse(problem.code.rawValue, problem.detail, key, link)
            case .end(let record):
                try await self.send(["type": "end", "exit_status": .integer(Int64(record.code))], link)
                return .normalClosure
            case .ping:
                try await self.write(
                    WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer()), link.outbound, link.channel)
                link.isPinging.lower()
            }
        }
        return .goingAway
    }

    private func take(_ message: [UInt8], _ conversation: inout WebSocketConversation, _ link: Link) async throws {
        guard conversation.rate.take(at: .now) else {
            conversation.refused += 1
            self.services.refusals.increment()
            try await self.refuse(
                "rate-limited", "more than ten messages in a second; the message was not read", nil, link)
            guard conversation.refused < Self.refusalLimit else { throw Closing(code: .policyViolation) }
            return
        }
        conversation.refused = max(0, conversation.refused - 1)
        var key: String?
        do {
            let input = try Self.read(message, &key)
            let decision = self.services.policy.authorize(
                self.principal, .typeToAgent, in: self.principal.workspace)
            if case .deny(let denial) = decision { throw Problem(.forbidden, denial.reason, rule: denial.rule) }
            guard conversation.inFlight < Self.inFlight else {
                throw Problem(.rateLimited, "\(Self.inFlight) messages are on their way already")
            }
            conversation.inFlight += 1
            link.inputs.yield(input)
        } catch let problem as Problem {
            try await self.refuse(problem.code.rawValue, problem.detail, key, link)
        } catch let error as InputError {
            try await self.refuse("invalid-request", CredentialMask.masked(error.message), key, link)
        }
    }

    private static func read(_ message: [UInt8], _ name: inout String?) throws -> Input {
        guard let document = try? JSONParser.document(message), document.value.members != nil else {
            throw Problem(.malformed, "a message must be one strict JSON object")
        }
        var body = BodyReader(document)
        let key = try body.optionalText("message_id").map { try API.Input.requestID($0) }
        name = key?.description
        guard try body.text("type") == "input" else { throw Problem(.invalid, "'type' must be input") }
        guard let key else { throw Problem(.invalid, "'message_id' is missing: expected a string") }
        let (text, until) = (try body.text("text"), try body.optionalText("until") ?? "written")
        try body.finish()
        guard let stage = MessageLedger.Stage.allCases.first(where: { $0.name == until }), stage != .refused else {
            throw Problem(.invalid, "'until' must be one of queued, written, consumed, answered")
        }
        return Input(text: text, key: key, until: stage)
    }

    private func event(_ key: Domain.RequestID, digest: [UInt8]) -> [UInt8] {
        var event = AuditEvent(
            kind: .typed, workspace: self.principal.workspace, actor: self.principal.actor, action: key.description,
            jobID: self.agent.job.id, status: "asked", rule: "websocket", duration: .zero, errorReason: "",
            paramsDigest: digest, node: self.services.node, time: self.services.now())
        event.requestID = self.requestID
        return event.encoded
    }

    private func refuse(_ code: String, _ detail: String, _ key: String?, _ link: Link) async throws {
        try await self.send(
            [
                "type": "error", "code": .string(code), "detail": .string(detail),
                "message_id": key.map { .string($0) } ?? .null,
            ], link)
    }

    private func send(_ value: JSONValue, _ link: Link) async throws {
        try await self.write(
            WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(bytes: value.bytes)), link.outbound, link.channel)
    }

    /// A client that does not take this in time has its connection closed.
    private func write(
        _ frame: WebSocketFrame, _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>, _ channel: any Channel
    ) async throws {
        let deadline = channel.eventLoop.scheduleTask(in: HTTPConversation.writeTime) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        try await outbound.write(frame)
    }
}

/// Lets one wait until another has had its turn.
private final class FirstReceipt: Sendable {
    private let turns: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation

    init() { (self.turns, self.end) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    func over() { self.end.finish() }

    func passed() async { for await _ in self.turns {} }
}
