internal import Audit
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Intake
internal import Jobs
internal import NIOCore
internal import Policy
internal import ShimProtocol

extension Endpoint {
    static let agents = [
        Endpoint(
            method: .get, path: "/ai/agents", summary: "The workspace's agents, the newest first, by pages.",
            parameters: [
                Parameter(name: "limit", text: "Agents of a page.", schema: Schema.integer(1...200)),
                Parameter(name: "cursor", text: "`next` of the previous page.", schema: Schema.jobID),
            ],
            answers: [Answer(status: 200, text: "A page.", schema: Schema.reference("AgentList"))],
            handler: .guarded(.listAgents, Self.list)),
        Endpoint(
            method: .post, path: "/ai/agents", summary: "Submits a job that runs an agent.",
            body: Schema.reference("AgentRequest"),
            answers: [
                Answer(status: 202, text: "Stored; the agent will be run.", schema: Schema.reference("Accepted")),
                Answer(
                    status: 200, text: "This request id was used before: the first job.",
                    schema: Schema.reference("Accepted")),
            ], problems: [404, 408, 413, 415], handler: .guarded(.startAgent, Self.start)),
        Endpoint(
            method: .get, path: "/ai/agents/{id}", summary: "The state of an agent, and how it is known.",
            answers: [Answer(status: 200, text: "The agent.", schema: Schema.reference("Agent"))],
            problems: [404, 409, 502], isForwarded: true, handler: .guarded(.readAgent, Self.show)),
        Endpoint(
            method: .post, path: "/ai/agents/{id}/input",
            summary: "Types a message into an agent's terminal. A message id is never typed twice.",
            body: Schema.reference("Message"),
            answers: [Answer(status: 200, text: "The last receipt.", schema: Schema.reference("Receipt"))],
            problems: [404, 408, 409, 413, 415, 502], isForwarded: true, handler: .guarded(.typeToAgent, Self.type)),
        Endpoint(
            method: .get, path: "/ai/agents/{id}/output",
            summary: "An agent's terminal output from an offset on, as server-sent events, until the agent ends.",
            parameters: [
                Parameter(
                    name: "offset", text: "The first byte; `Last-Event-ID` takes precedence.",
                    schema: Schema.offset)
            ],
            answers: [Answer(status: 200, text: "Events `output` and `end`.", type: "text/event-stream")],
            problems: [404, 409], handler: .guarded(.readAgent, Self.output)),
        Endpoint(
            method: .get, path: "/ai/agents/{id}/terminal",
            summary: "An agent's terminal over a WebSocket: output, and input with receipts.",
            parameters: [Parameter(name: "offset", text: "The first byte.", schema: Schema.offset)],
            answers: [Answer(status: 101, text: "A WebSocket.", type: "")], problems: [404, 409, 426],
            handler: .guarded(.readAgent) { call in
                _ = try await call.agent()
                throw Problem(
                    .upgradeRequired,
                    "this path is a WebSocket: expected an upgrade, as the first request of its connection",
                    headers: [(.upgrade, "websocket")])
            }),
        Endpoint(
            method: .post, path: "/ai/agents/{id}/stop", summary: "Ends an agent and its whole process tree.",
            answers: [
                Answer(status: 202, text: "Requested, or done at once.", schema: Schema.reference("Cancelled")),
                Answer(status: 200, text: "It had ended already.", schema: Schema.reference("Cancelled")),
            ], problems: [404], handler: .guarded(.stopAgent, Self.stop)),
    ]

    private static func list(_ call: Call) async throws -> Response {
        let query = try call.query(["limit", "cursor"])
        let (limit, cursor) = (try call.limit(query), try query["cursor"].map { try Input.job($0) })
        let (store, workspace) = (call.services.store, call.workspace)
        let pages = JobPages(readSize: JobPages.filteredReadSize) {
            try await store.jobs(in: workspace, limit: $0, tag: nil, after: $1)
        }
        let page = try await pages.page(limit: limit, after: cursor) { $0.action == AgentAccess.action }
        let agents: [JSONValue] = page.jobs.map { job in
            [
                "agent_id": .string(job.id.description), "job_state": .string(job.state.rawValue),
                "node": .string(job.node), "submitted_at": JobView.time(job.submittedAt),
            ]
        }
        return .json(["agents": .array(agents), "next": page.next.map { .string($0.description) } ?? .null])
    }

    private static func start(_ call: Call) async throws -> Response {
        var body = try await call.body()
        let (agent, prompt) = (try body.text("agent"), try body.text("prompt"))
        if !prompt.isEmpty { _ = try TerminalInput(messageText: prompt) }
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

    private static func show(_ call: Call) async throws -> Response {
        .json(try await (try await call.agent()).view)
    }

    private static func type(_ call: Call) async throws -> Response {
        var body = try await call.body()
        let input = try TerminalInput(messageText: try body.text("text"))
        return try await call.type(input, &body, named: "the message was")
    }

    private static func stop(_ call: Call) async throws -> Response {
        let job = try await call.job()
        guard job.action == AgentAccess.action else { throw Call.noSuchJob }
        return try await call.cancel(job.id)
    }

    private static func output(_ call: Call) async throws -> Response {
        let query = try call.query(["offset"])
        // A client that reconnects requests the same URL and sends in the header how far it had read.
        let text = call.request.headers[.lastEventID] ?? query["offset"] ?? "0"
        guard let offset = UInt64(text), offset < 1 << 50, String(offset) == text else {
            throw Problem(.invalid, "'offset' must be the number of a byte, from 0")
        }
        let agent = try await call.agent()
        let ticket = try Call.streamTicket(for: call.principal, agent.job.id, call.services)
        let (services, principal, channel) = (call.services, call.principal, call.context.channel)
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream"],
            body: ResponseBody { writer in
                // Held by this closure, so that it is given back also where the closure is never called.
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

    /// A place for a stream of an agent; throws a `Problem` when there is none.
    static func streamTicket(
        for principal: Principal, _ agent: JobID, _ services: APIServices
    ) throws -> StreamTicket {
        let decision = services.policy.authorize(principal, .typeToAgent, in: principal.workspace)
        let kind: StreamPlaces.Kind = if case .allow = decision { .operating } else { .watching }
        guard let ticket = services.streams.enter(kind, principal.workspace, agent) else {
            let (workspace, agent) = (services.configuration.streamLimit, services.configuration.agentStreamLimit)
            throw Problem(
                .rateLimited,
                "too many streams are open: at most \(workspace) for a workspace and \(agent) for an agent, half of them for clients that may not type",
                rule: "streams", headers: [(.retryAfter, "10")])
        }
        return ticket
    }

    /// Types a message or keys into the agent's terminal and answers with the receipt. Reads the rest of the body.
    func type(_ input: TerminalInput, _ body: inout BodyReader, named name: String) async throws -> Response {
        let key = try Input.requestID(try body.text("message_id"))
        let until = try body.optionalText("until") ?? "written"
        try body.finish()
        let stage = try TerminalMessage.stage(until)
        let agent = try await self.agent()
        guard let ticket = self.services.streams.enter(.message, self.workspace, agent.job.id) else {
            throw Self.tooManyMessages
        }
        defer { withExtendedLifetime(ticket) {} }
        let receipt = try await agent.type(input, key: key, until: stage) { digest in
            self.event(.typed, agent.job.id, status: "asked", action: key.description, digest: digest)
        }
        guard receipt.stage != .refused else {
            throw Problem(.conflict, "\(name) refused: \(Printable.text(receipt.reason, limit: 300))")
        }
        return .json(.object([JSONMember("message_id", .string(key.description))] + receipt.view))
    }

    static let tooManyMessages = Problem(
        .rateLimited, "too many messages of this agent or workspace are on their way; try again in a moment",
        rule: "streams", headers: [(.retryAfter, "1")])
}
