internal import Policy
internal import Audit
internal import Domain
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Intake
internal import Jobs
internal import NIOCore
internal import ShimProtocol

extension Endpoint {
    static let agents = [
        Endpoint(
            method: .get, path: "/ai/agents", summary: "The workspace's newest agents.",
            parameters: [Parameter(name: "limit", text: "Agents at most.", schema: Schema.integer(1...200))],
            answers: [Answer(status: 200, text: "The agents.", schema: Schema.reference("AgentList"))],
            handler: .guarded(.listAgents, Self.list)),
        Endpoint(
            method: .post, path: "/ai/agents", summary: "Asks for an agent to be run.",
            body: Schema.reference("AgentRequest"),
            answers: [
                Answer(status: 202, text: "Stored; it will be run.", schema: Schema.reference("Accepted")),
                Answer(
                    status: 200, text: "This request id came before: the first one.",
                    schema: Schema.reference("Accepted")),
            ], problems: [404, 408, 413, 415], handler: .guarded(.startAgent, Self.start)),
        Endpoint(
            method: .get, path: "/ai/agents/{id}", summary: "What an agent of this node does, and how that is known.",
            answers: [Answer(status: 200, text: "The agent.", schema: Schema.reference("Agent"))],
            problems: [404, 409], handler: .guarded(.readAgent, Self.show)),
        Endpoint(
            method: .post, path: "/ai/agents/{id}/input",
            summary: "Types a message into an agent's terminal. The same message id is never typed twice.",
            body: Schema.reference("Message"),
            answers: [Answer(status: 200, text: "How far it came.", schema: Schema.reference("Receipt"))],
            problems: [404, 408, 409, 413, 415], handler: .guarded(.typeToAgent, Self.type)),
        Endpoint(
            method: .get, path: "/ai/agents/{id}/output",
            summary: "An agent's terminal from a place on, as server-sent events, until its end.",
            parameters: [
                Parameter(
                    name: "offset", text: "The first byte; `Last-Event-ID` says so, too.",
                    schema: Schema.offset)
            ],
            answers: [Answer(status: 200, text: "Events `output` and `end`.", type: "text/event-stream")],
            problems: [404, 409], handler: .guarded(.readAgent, Self.output)),
        Endpoint(
            method: .get, path: "/ai/agents/{id}/terminal",
            summary: "An agent's terminal by WebSocket: output, and input with receipts.",
            parameters: [Parameter(name: "offset", text: "The first byte.", schema: Schema.offset)],
            answers: [Answer(status: 101, text: "A WebSocket.", type: "")], problems: [404, 409, 426],
            handler: .guarded(.readAgent) { call in
                _ = try await call.agent()
                throw Problem(
                    .upgradeRequired, "this is a WebSocket: expected an upgrade, the first on its connection",
                    headers: [(.upgrade, "websocket")])
            }),
        Endpoint(
            method: .post, path: "/ai/agents/{id}/stop", summary: "Ends an agent and its whole process tree.",
            answers: [
                Answer(status: 202, text: "Asked, or done at once.", schema: Schema.reference("Cancelled")),
                Answer(status: 200, text: "It had ended before.", schema: Schema.reference("Cancelled")),
            ], problems: [404], handler: .guarded(.stopAgent, Self.stop)),
    ]

    private static func list(_ call: Call) async throws -> Response {
        let limit = try call.limit(try call.query(["limit"]))
        let newest = try await call.services.store.jobs(in: call.workspace, limit: 1000, tag: nil)
        let agents: [JSONValue] = newest.filter { $0.action == AgentAccess.action }.prefix(limit).map { job in
            [
                "agent_id": .string(job.id.description), "job_state": .string(job.state.rawValue),
                "node": .string(job.node), "submitted_at": JobView.time(job.submittedAt),
            ]
        }
        return .json(["agents": .array(agents)])
    }

    private static func start(_ call: Call) async throws -> Response {
        var body = try await call.body()
        let (agent, prompt) = (try body.text("agent"), try body.text("prompt"))
        guard call.services.policy.bundle.agents[try Input.name(agent)] != nil else {
            throw Problem(.notFound, "there is no agent '\(agent)'")
        }
        let requestID = try body.text("client_request_id")
        try body.finish()
        return try await call.submit(
            RequestDraft(
                action: AgentAccess.action,
                params: JSONValue.object([
                    JSONMember("agent", .string(agent)), JSONMember("prompt", .string(prompt)),
                ]).bytes, requestID: requestID))
    }

    private static func show(_ call: Call) async throws -> Response { .json(try (try await call.agent()).view) }

    private static func type(_ call: Call) async throws -> Response {
        var body = try await call.body()
        let text = try body.text("text")
        let key = try Input.requestID(try body.text("message_id"))
        let until = try body.optionalText("until") ?? "written"
        try body.finish()
        guard let stage = MessageLedger.Stage.allCases.first(where: { $0.name == until }), stage != .refused else {
            throw Problem(.invalid, "'until' must be one of queued, written, consumed, answered")
        }
        let agent = try await call.agent()
        guard let ticket = call.services.streams.enter(call.workspace, agent.job.id) else {
            throw Call.tooManyStreams(call.services)
        }
        defer { withExtendedLifetime(ticket) {} }
        let receipt = try await agent.type(text, key: key, until: stage) { digest in
            call.event(.typed, agent.job.id, status: "asked", action: key.description, digest: digest)
        }
        guard receipt.stage != .refused else {
            throw Problem(.conflict, "the message was refused: \(Printable.text(receipt.reason, limit: 300))")
        }
        return .json(.object([JSONMember("message_id", .string(key.description))] + receipt.view))
    }

    private static func stop(_ call: Call) async throws -> Response {
        let job = try await call.job()
        guard job.action == AgentAccess.action else { throw Call.noSuchJob }
        return try await call.cancel(job.id)
    }

    private static func output(_ call: Call) async throws -> Response {
        let query = try call.query(["offset"])
        // A client that comes back asks for the same URL, and says in the header how far it was.
        let text = call.request.headers[.lastEventID] ?? query["offset"] ?? "0"
        guard let offset = UInt64(text), offset < 1 << 50, String(offset) == text else {
            throw Problem(.invalid, "'offset' must be the number of a byte, from 0")
        }
        let agent = try await call.agent()
        guard let ticket = call.services.streams.enter(call.workspace, agent.job.id) else {
            throw Call.tooManyStreams(call.services)
        }
        let (services, principal, channel) = (call.services, call.principal, call.context.channel)
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream"],
            body: ResponseBody { writer in
                // Held by this closure, so that it comes back also where it is never called.
                defer { withExtendedLifetime(ticket) {} }
                let feed = EventFeed(channel: channel, services: services, principal: principal)
                try await feed.run(agent, from: offset, into: &writer)
                try await writer.finish(nil)
            })
    }
}

extension Call {
    /// The agent that the path names.
    func agent() async throws -> AgentAccess {
        try await AgentAccess.find(try self.jobID(), for: self.principal, self.services)
    }

    static func tooManyStreams(_ services: APIServices) -> Problem {
        Problem(
            .rateLimited,
            "too many streams or messages are open: \(services.configuration.streamLimit) for a workspace, \(services.configuration.agentStreamLimit) for an agent",
            rule: "streams", headers: [(.retryAfter, "10")])
    }
}
