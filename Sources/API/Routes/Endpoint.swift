internal import Domain
internal import HTTPTypes
internal import Hummingbird

/// One thing that can be asked of the API: the router and the OpenAPI document are both made of these.
struct Endpoint: Sendable {
    enum Handler: Sendable {
        /// For anybody.
        case open(@Sendable (APIServices) throws -> Response)
        /// For who may do the operation.
        case guarded(Operation, @Sendable (Call) async throws -> Response)
    }

    struct Parameter: Sendable {
        let name: String
        let text: String
        let schema: JSONValue
    }

    struct Answer: Sendable {
        let status: Int
        let text: String
        var type = "application/json"
        var schema: JSONValue?
    }

    let method: HTTPRequest.Method
    /// With `{id}` where a job's id stands.
    let path: String
    let summary: String
    var parameters: [Parameter] = []
    var body: JSONValue?
    let answers: [Answer]
    /// Codes of problems of its own, beside those that every endpoint may answer with.
    var problems: [Int] = []
    let handler: Handler

    var operation: Operation? {
        if case .guarded(let operation, _) = self.handler { operation } else { nil }
    }

    static let all: [Endpoint] =
        Self.jobs + Self.plans + Self.agents + Self.audit + Self.wellKnown

    static func router(_ services: APIServices) -> RouterResponder<APIContext> {
        let gatekeeper = Gatekeeper(services: services)
        let router = Router(context: APIContext.self)
        router.add(middleware: RequestPipeline(gatekeeper: gatekeeper))
        var methods: [String: [HTTPRequest.Method]] = [:]
        for endpoint in Self.all {
            let path = RouterPath(endpoint.path)
            methods[endpoint.path, default: []].append(endpoint.method)
            router.on(path, method: endpoint.method) { try await endpoint.answer($0, $1, gatekeeper) }
            guard endpoint.method == .get else { continue }
            methods[endpoint.path, default: []].append(.head)
            router.on(path, method: .head) { try await endpoint.answer($0, $1, gatekeeper).createHeadResponse() }
        }
        // The router knows no "method not allowed": every other method of a path is told so by a route of its own.
        for (path, known) in methods {
            let allowed = known.map(\.rawValue).sorted().joined(separator: ", ")
            for method in Self.allMethods where !known.contains(method) {
                router.on(RouterPath(path), method: method) { _, _ -> Response in
                    throw HTTPError(.methodNotAllowed, headers: [.allow: allowed])
                }
            }
        }
        return router.buildResponder()
    }

    /// What the parser lets through (RFC 9110 and what came after it).
    private static let allMethods: [HTTPRequest.Method] =
        [.get, .head, .post, .put, .patch, .delete, .trace, .connect]
        + [
            "QUERY", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "PURGE", "LINK",
            "UNLINK",
        ]
        .compactMap { HTTPRequest.Method($0) }

    private func answer(
        _ request: Request, _ context: APIContext, _ gatekeeper: Gatekeeper
    ) async throws -> Response {
        switch self.handler {
        case .open(let answer): return try answer(gatekeeper.services)
        case .guarded(let operation, let answer):
            guard let record = context.record, let principal = record.facts.principal else {
                throw Problem(.unauthenticated, "a credential is needed")
            }
            try gatekeeper.authorize(principal, operation, record)
            return try await answer(
                Call(
                    request: request, context: context, record: record, principal: principal,
                    services: gatekeeper.services))
        }
    }
}
