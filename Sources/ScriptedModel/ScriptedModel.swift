internal import Domain
internal import ModelUsage
internal import NIOCore
internal import NIOHTTP1
package import NIOPosix
internal import Synchronization
package import TransportSecurity

/// A model provider that answers by a script, over TLS on the loopback: it stands in for the real one where an agent's
/// program is checked. It serves Anthropic Messages, OpenAI Responses and Chat Completions.
///
/// The script is `ModelScript`. A request without the right key, or with a second one, is answered 401.
package final class ScriptedModel: Sendable {
    private struct State {
        var script = ModelScript()
        var calls: [ScriptedCall] = []
    }

    /// The header fields of a request that count.
    struct Head: Sendable {
        let method: String
        let path: String
        /// The values of `x-api-key`, and of `authorization` without its scheme.
        let keys: [String]
        /// An answer to a request for a path that is not served has the form of this provider's.
        let isAnthropic: Bool
    }

    private let key: String
    let pause: Duration
    private let random: @Sendable () -> UInt64
    private let state = Mutex(State())

    static let bodyLimit = 64 << 20
    private static let throttleSeconds = "2"

    /// `key` is the one that requests must have; `pause` is how long a slow answer pauses. Serves nothing yet.
    package init(
        key: String, pause: Duration, random: @escaping @Sendable () -> UInt64 = { UInt64.random(in: 0...(.max)) }
    ) {
        self.key = key
        self.pause = pause
        self.random = random
    }

    /// All requests so far, in the order of their answers.
    package var calls: [ScriptedCall] { self.state.withLock { $0.calls } }

    /// Serves on a port of 127.0.0.1 that the kernel chooses, which `body` receives, until `body` has ended. Throws when no
    /// port can be bound, and what `body` throws.
    package func serve<Value: Sendable>(
        _ tls: TLSServerContext, on group: MultiThreadedEventLoopGroup = .singleton,
        while body: (Int) async throws -> Value
    ) async throws -> Value {
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(TLSServerHandler(context: tls))
                    try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
                    try pipeline.addHandler(ScriptedModelHandler(model: self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let value: Value
        do { value = try await body(server.localAddress?.port ?? 0) } catch {
            try await withoutCancellation { try await server.close() }
            throw error
        }
        try await withoutCancellation { try await server.close() }
        return value
    }

    /// The reply to a request, which is noted before it is sent.
    func reply(to head: Head, body: [UInt8]) -> ScriptedReply {
        let isCount = head.path == "/v1/messages/count_tokens"
        let provider: ModelProvider? =
            switch head.path {
            case "/v1/messages", "/v1/messages/count_tokens": .anthropic
            case "/v1/responses": .openAIResponses
            case "/v1/chat/completions": .openAIChat
            default: nil
            }
        let form = provider ?? (head.isAnthropic ? .anthropic : .openAIResponses)
        func refuse(_ status: Int, _ code: String, _ message: String) -> ScriptedReply {
            self.note(head, status: status)
            return Self.error(form, status, code, message)
        }
        guard self.isRight(head.keys) else { return refuse(401, "authentication", "the key is missing or wrong") }
        guard let provider, head.method == "POST" else {
            return refuse(404, "not_found", "\(head.method) \(head.path) is not served")
        }
        guard let request = ScriptedRequest(provider, body: body) else {
            return refuse(400, "invalid_request", "the body is not a request of this interface")
        }
        if isCount {
            self.note(head, status: 200, request: request)
            return ScriptedReply(status: 200, json: #"{"input_tokens":1000}"#)
        }
        let (step, plain) = self.state.withLock { $0.script.next(request) }
        let status = step == .throttle ? 429 : step == .budget ? 402 : 200
        self.note(head, status: status, request: request, step: step)
        return self.reply(to: request, step, plain)
    }

    private func reply(
        to request: ScriptedRequest, _ step: ModelScript.Step, _ plain: ModelScript.Step
    ) -> ScriptedReply {
        switch step {
        case .throttle:
            let body = ProviderErrorBody.json(
                request.provider, status: 429, code: "rate_limited", message: "too many requests")
            return ScriptedReply(
                status: 429, json: String(decoding: body, as: UTF8.self),
                headers: [("retry-after", Self.throttleSeconds)])
        case .budget: return Self.error(request.provider, 402, "budget_spent", "the budget of this check is spent")
        case .tool, .text, .edit, .cut, .slow: break
        }
        let call = plain == .tool ? request.call : nil
        let text = plain == .edit ? request.edit : call == nil ? ToolCall.text : "I write the file."
        let random = self.random
        let answer = ScriptedAnswer(request: request, text: text, call: call) {
            [random(), random()].map { number in
                let digits = String(number, radix: 16)
                return String(repeating: "0", count: 16 - digits.count) + digits
            }.joined()
        }
        guard request.isStreamed else {
            return ScriptedReply(
                ScriptedReply(status: 200, json: answer.body.text),
                interruption: step == .cut ? .cut(after: 0) : step == .slow ? .pause(after: 0) : nil)
        }
        let events = answer.events
        let first = events.firstIndex(where: \.isText).map { $0 + 1 } ?? 1
        return ScriptedReply(
            events: events, interruption: step == .cut ? .cut(after: first) : step == .slow ? .pause(after: 1) : nil)
    }

    private static func error(
        _ provider: ModelProvider, _ status: Int, _ code: String, _ message: String
    ) -> ScriptedReply {
        let body = ProviderErrorBody.json(provider, status: status, code: code, message: message)
        return ScriptedReply(status: status, json: String(decoding: body, as: UTF8.self))
    }

    private func isRight(_ keys: [String]) -> Bool { !keys.isEmpty && keys.allSatisfy { $0 == self.key } }

    private func note(
        _ head: Head, status: Int, request: ScriptedRequest? = nil, step: ModelScript.Step? = nil
    ) {
        let call = ScriptedCall(
            method: head.method, path: head.path, status: status, hasRightKey: self.isRight(head.keys),
            model: request?.model, step: step, userTexts: request?.userTexts ?? [])
        self.state.withLock { $0.calls.append(call) }
    }
}
