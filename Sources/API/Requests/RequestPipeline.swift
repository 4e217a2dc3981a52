internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// The way of every request, in order: name it, let it in or not, read it, answer it, write it down, and only then send
/// the answer.
struct RequestPipeline: Sendable {
    let gatekeeper: Gatekeeper
    private let router: RouterResponder<APIContext>

    private var services: APIServices { self.gatekeeper.services }

    init(gatekeeper: Gatekeeper) {
        self.gatekeeper = gatekeeper
        self.router = Endpoint.router(gatekeeper)
    }

    /// Answers one request. `body` is called once it is let in; what it throws decides the answer.
    @concurrent
    func answer(
        _ head: HTTPRequest, on channel: any Channel, body: @concurrent () async throws -> ByteBuffer
    ) async -> Response {
        let record = self.gatekeeper.record(for: head)
        var response: Response
        do {
            _ = try await self.gatekeeper.admit(head, peer: channel.remoteAddress, record)
            response =
                head.method == .options
                ? try self.preflight(head)
                : try await self.route(
                    Request(head: head, body: RequestBody(buffer: try await body())), channel, record)
        } catch {
            response = self.problem(error, record).response(requestID: record.id)
        }
        await self.conclude(&response, head, record)
        return response
    }

    /// Answers what is no request at all, as far as it could be read.
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

    private func route(_ request: Request, _ channel: any Channel, _ record: RequestRecord) async throws -> Response {
        var context = APIContext(source: .init(channel: channel, logger: self.services.logger))
        context.record = record
        return try await self.router.respond(to: request, context: context)
    }

    /// Writes the row, or takes the answer back; then the headers that every answer carries.
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

    /// Any error as a problem; what is not one is a fault of ours, told to the log and not to the client.
    func problem(_ error: any Error, _ record: RequestRecord) -> Problem {
        let problem: Problem
        switch error {
        case let error as Problem: problem = error
        case is HTTPParserError: problem = Self.unreadable(error)
        default: problem = self.services.problem(of: error, record)
        }
        record.note {
            $0.reason = problem.detail
            $0.rule = problem.rule
        }
        return problem
    }

    private static func unreadable(_ error: any Error) -> Problem {
        var problem =
            if case .headerOverflow? = error as? HTTPParserError {
                Problem(.headersTooLarge, "the request's line or headers are too large")
            } else {
                Problem(.malformed, "this is no HTTP/1.1 request that can be read without doubt")
            }
        problem.closes = true
        return problem
    }

    /// The answer to a browser that asks before it asks (Fetch §4.8); its origin was checked already.
    private func preflight(_ head: HTTPRequest) throws -> Response {
        let path = (head.path ?? "").prefix { $0 != "?" }
        guard let methods = Endpoint.methods(of: path) else {
            throw Problem(.notFound, "there is nothing here; /openapi.json tells what there is")
        }
        guard head.headerFields[.origin] != nil else {
            throw Problem(.methodNotAllowed, "this path does not know that method", headers: [(.allow, methods)])
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
    /// What a failure below means to the client.
    func problem(of error: any Error, _ record: RequestRecord) -> Problem {
        if let error = error as? InputError { return Problem(.invalid, error.message) }
        self.logger.warning(
            "a request could not be done", error: error, metadata: ["request.id": "\(record.id)"])
        if error.isOutage {
            return Problem(
                .unavailable, "the queue does not answer; try again with the same request id",
                headers: [(.retryAfter, "2")])
        }
        return Problem(.failed, "the request failed for a reason of ours; it is in the log under its id")
    }
}
