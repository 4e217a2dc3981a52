internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// The steps of every request, in order: name it, admit it, read it, answer it, write its audit row, and only then send the
/// answer.
struct RequestPipeline: Sendable {
    let gatekeeper: Gatekeeper
    private let router: RouterResponder<APIContext>

    private var services: APIServices { self.gatekeeper.services }

    init(gatekeeper: Gatekeeper) {
        self.gatekeeper = gatekeeper
        self.router = Endpoint.router(gatekeeper)
    }

    /// Answers one request. `body` is called once the request is admitted; an error that it throws decides the answer.
    /// `incoming` is the body of a request that is read while it is used.
    @concurrent
    func answer(
        _ head: HTTPRequest, on channel: any Channel, streaming incoming: IncomingBody? = nil,
        body: @concurrent () async throws -> ByteBuffer
    ) async -> Response {
        let record = self.gatekeeper.record(for: head)
        var response: Response
        do {
            // The router's endpoints take the principal from the record.
            _ = try await self.gatekeeper.admit(head, peer: channel.remoteAddress, record)
            response =
                head.method == .options
                ? try self.preflight(head)
                : try await self.route(
                    Request(head: head, body: RequestBody(buffer: try await body())), channel, record, incoming)
        } catch {
            response = self.problem(error, record).response(requestID: record.id)
        }
        await self.conclude(&response, head, record)
        return response
    }

    /// Answers bytes that could not be read as a request.
    func answerUnreadable(_ error: any Error, on channel: any Channel) async -> Response {
        let record = RequestRecord(
            id: self.services.freshID(), traceparent: "", line: "unreadable", startedAt: .now)
        var response: Response
        do {
            try await self.gatekeeper.limitAddress(of: channel.remoteAddress, record)
            throw Self.unreadable(error)
        } catch {
            response = self.problem(error, record).response(requestID: record.id)
        }
        await self.conclude(&response, HTTPRequest(method: .get, scheme: nil, authority: nil, path: nil), record)
        return response
    }

    private func route(
        _ request: Request, _ channel: any Channel, _ record: RequestRecord, _ incoming: IncomingBody?
    ) async throws -> Response {
        var context = APIContext(source: .init(channel: channel, logger: self.services.logger))
        context.record = record
        context.incoming = incoming
        return try await self.router.respond(to: request, context: context)
    }

    /// Writes the row, or replaces the answer when that fails; then adds the headers that every answer carries.
    private func conclude(_ response: inout Response, _ head: HTTPRequest, _ record: RequestRecord) async {
        do {
            try await self.gatekeeper.conclude(record, status: response.status.code)
        } catch {
            response = self.problem(error, record).response(requestID: record.id)
            self.services.logger.error(
                "a request could not be written to the audit trail", metadata: ["request.id": "\(record.id)"])
        }
        self.services.requests.note(
            record.facts.operation, status: response.status.code,
            after: record.startedAt.duration(to: .now))
        response.headers = self.decorated(response.headers, head, record)
    }

    /// Any error as a problem. One that is not a problem already is this node's own: its text goes to the log only.
    func problem(_ error: any Error, _ record: RequestRecord) -> Problem {
        let problem: Problem
        switch error {
        case let error as Problem: problem = error
        case let error as OtherNode: problem = error.problem()
        case is HTTPParserError: problem = Self.unreadable(error)
        default: problem = self.services.problem(of: error, record)
        }
        record.note {
            $0.reason = problem.detail
            $0.rule = problem.rule
        }
        return problem
    }

    /// The problem that a parser error means; the connection ends with it.
    static func unreadable(_ error: any Error) -> Problem {
        var problem =
            switch error as? HTTPParserError {
            case .headerOverflow?: Problem(.headersTooLarge, "the request's line or headers are too large")
            case .invalidMethod?:
                Problem(.notImplemented, "the request's method is not one that HTTP defines; /openapi.json lists them")
            case .invalidVersion?: Problem(.malformed, "the protocol is not supported: expected HTTP/1.0 or HTTP/1.1")
            default: Problem(.malformed, "malformed HTTP/1.1 request")
            }
        problem.closes = true
        return problem
    }

    /// The answer to a browser's CORS preflight (Fetch §4.8); its origin was checked already.
    private func preflight(_ head: HTTPRequest) throws -> Response {
        let path = (head.path ?? "").prefix { $0 != "?" }
        guard let methods = Endpoint.methods(of: path) else {
            throw Problem(.notFound, "there is nothing at this path; /openapi.json lists the paths")
        }
        guard head.headerFields[.origin] != nil else {
            throw Problem(.methodNotAllowed, "this path does not support the method", headers: [(.allow, methods)])
        }
        return Response(
            status: .noContent,
            headers: [
                .accessControlAllowMethods: methods,
                .accessControlAllowHeaders: "authorization, content-type, last-event-id, traceparent, x-request-id",
                .accessControlMaxAge: "600",
            ])
    }

    func decorated(_ given: HTTPFields, _ head: HTTPRequest, _ record: RequestRecord) -> HTTPFields {
        var headers = given
        headers[.requestID] = record.id
        if !record.traceparent.isEmpty { headers[.traceparent] = record.traceparent }
        headers[.xContentTypeOptions] = "nosniff"
        headers[.contentSecurityPolicy] = "default-src 'none'; frame-ancestors 'none'"
        headers[.referrerPolicy] = "no-referrer"
        if self.services.configuration.tls != nil {
            headers[.strictTransportSecurity] = "max-age=63072000; includeSubDomains"
        }
        if headers[.cacheControl] == nil { headers[.cacheControl] = "no-store" }
        headers[.vary] = "Origin"
        headers[.date] = self.services.dates.text
        if let origin = head.headerFields[.origin], self.services.configuration.allows(origin: origin) {
            headers[.accessControlAllowOrigin] = origin
            headers[.accessControlExposeHeaders] = "x-request-id, ratelimit, ratelimit-policy, retry-after"
        }
        if let verdict = record.facts.verdict {
            headers[.rateLimitPolicy] = "\"default\";q=\(verdict.limit);w=\(verdict.period)"
            headers[.rateLimit] = "\"default\";r=\(verdict.remaining);t=\(verdict.reset)"
        }
        return headers
    }
}

extension APIServices {
    /// What an error of a lower layer means to the client.
    func problem(of error: any Error, _ record: RequestRecord) -> Problem {
        if let error = error as? InputError { return Problem(.invalid, error.message) }
        self.logger.warning(
            "a request failed", error: error, metadata: ["request.id": "\(record.id)"])
        if error.isOutage {
            return Problem(
                .unavailable, "the queue does not answer; try again with the same request id",
                headers: [(.retryAfter, "2")])
        }
        return Problem(.failed, "the request failed on the server; the log has the reason under its request id")
    }
}
