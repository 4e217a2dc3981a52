internal import Domain
internal import HTTPTypes
internal import Hummingbird

/// One operation of the API: the router and the OpenAPI document are both generated from these.
struct Endpoint: Sendable {
    enum Handler: Sendable {
        /// Needs no credential.
        case open(@Sendable (APIServices) throws -> Response)
        /// Needs a credential that permits the operation.
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
    /// With `{id}` where a job's id stands, and `{workspace}` where a workspace's name does.
    let path: String
    let summary: String
    var parameters: [Parameter] = []
    var body: JSONValue?
    /// Whether the body is an archive, which is read while it is used.
    var streamsBody = false
    let answers: [Answer]
    /// Statuses of problems in addition to those that every endpoint may answer with.
    var problems: [Int] = []
    /// Whether the node that has the agent or the files answers for this one, where its address is known.
    var isForwarded = false
    let handler: Handler

    static let archiveType = "application/x-tar"

    private var isStream: Bool {
        self.answers.contains { ["text/event-stream", Self.archiveType].contains($0.type) || $0.status == 101 }
    }

    var operation: Operation? {
        if case .guarded(let operation, _) = self.handler { operation } else { nil }
    }

    static let all: [Endpoint] =
        Self.jobs + Self.plans + Self.agents + Self.terminals + Self.files + Self.audit + Self.wellKnown

    /// The methods that a path supports, as `Allow` lists them; nil for a path that does not exist.
    static func methods(of path: Substring) -> String? {
        let found = Self.all.filter { $0.matches(path) }
        guard !found.isEmpty else { return nil }
        let names = found.flatMap { $0.method == .get && !$0.isStream ? ["GET", "HEAD"] : [$0.method.rawValue] }
        return names.sorted().joined(separator: ", ")
    }

    /// Whether the body of a request is an archive, which is not read before it is used.
    static func streamsBody(_ head: HTTPRequest) -> Bool {
        let path = (head.path ?? "").prefix { $0 != "?" }
        return Self.all.contains { $0.streamsBody && $0.method == head.method && $0.matches(path) }
    }

    private func matches(_ path: Substring) -> Bool {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let wanted = self.path.split(separator: "/", omittingEmptySubsequences: false)
        return wanted.count == parts.count
            && zip(wanted, parts).allSatisfy { $0.hasPrefix("{") ? !$1.isEmpty : $0 == $1 }
    }

    /// The router with every endpoint.
    static func router(_ gatekeeper: Gatekeeper) -> RouterResponder<APIContext> {
        let router = Router(context: APIContext.self)
        router.add(middleware: RoutingProblems())
        var methods: [String: [HTTPRequest.Method]] = [:]
        for endpoint in Self.all {
            let path = RouterPath(endpoint.path)
            methods[endpoint.path, default: []].append(endpoint.method)
            router.on(path, method: endpoint.method) { try await endpoint.answer($0, $1, gatekeeper) }
            // A stream has no head without its body.
            guard endpoint.method == .get, !endpoint.isStream else { continue }
            methods[endpoint.path, default: []].append(.head)
            router.on(path, method: .head) { try await endpoint.answer($0, $1, gatekeeper) }
        }
        // The router has no "method not allowed": every other method of a path gets a route that answers it.
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

    private static let allMethods: [HTTPRequest.Method] = [
        .get, .head, .post, .put, .patch, .delete, .trace, .connect,
    ]

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
            let call = Call(
                request: request, context: context, record: record, principal: principal,
                services: gatekeeper.services)
            _ = try call.query(Set(self.parameters.map(\.name)))
            do { return try await answer(call) } catch let elsewhere as OtherNode {
                guard self.isForwarded else { throw await gatekeeper.services.misdirected(elsewhere) }
                return try await elsewhere.subject == .files
                    ? call.forwardFiles(to: elsewhere) : call.forward(to: elsewhere)
            }
        }
    }
}
