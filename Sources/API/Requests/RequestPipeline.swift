internal import Credentials
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// The way of every request, in order: name it, let it in or not, answer it, write it down, and only then send the answer.
struct RequestPipeline: RouterMiddleware {
    typealias Context = APIContext

    let gatekeeper: Gatekeeper

    private var services: APIServices { self.gatekeeper.services }

    func handle(
        _ request: Request, context: APIContext, next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let record = self.gatekeeper.record(for: request.head)
        var context = context
        context.record = record
        var response: Response
        do {
            _ = try await self.gatekeeper.admit(request.head, peer: context.peer, record)
            response = request.method == .options ? self.preflight(request.head) : try await next(request, context)
        } catch let error as HTTPParserError {
            throw error  // what is left of the connection is nothing that could be answered
        } catch {
            response = self.problem(error, record).response(requestID: record.id)
        }
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
        self.decorate(&response, request.head, record)
        return response
    }

    /// Any error as a problem; what is not one is a fault of ours, told to the log and not to the client.
    func problem(_ error: any Error, _ record: RequestRecord) -> Problem {
        let problem: Problem
        switch error {
        case let error as Problem: problem = error
        case let error as HTTPError: problem = Self.routing(error)
        default: problem = self.services.problem(of: error, record)
        }
        record.note {
            $0.reason = problem.detail
            $0.rule = problem.rule
        }
        return problem
    }

    private static func routing(_ error: HTTPError) -> Problem {
        switch error.status {
        case .methodNotAllowed:
            Problem(
                .methodNotAllowed, "this path does not know that method",
                headers: error.headers[.allow].map { [(.allow, $0)] } ?? [])
        case .notFound: Problem(.notFound, "there is nothing here; /openapi.json tells what there is")
        default: Problem(.malformed, "the request cannot be read")
        }
    }

    /// The answer to a browser that asks before it asks (Fetch §4.8); its origin was checked already.
    private func preflight(_ head: HTTPRequest) -> Response {
        guard head.headerFields[.origin] != nil else {
            return Problem(
                .methodNotAllowed, "this path does not know that method", headers: [(.allow, "GET, HEAD, POST")]
            ).response(requestID: "")
        }
        return Response(
            status: .noContent,
            headers: [
                .accessControlAllowMethods: "GET, HEAD, POST",
                .accessControlAllowHeaders: "authorization, content-type, last-event-id, traceparent, x-request-id",
                .accessControlMaxAge: "600",
            ])
    }

    private func decorate(_ response: inout Response, _ head: HTTPRequest, _ record: RequestRecord) {
        response.headers[.requestID] = record.id
        if !record.traceparent.isEmpty { response.headers[.traceparent] = record.traceparent }
        for (name, value) in SecurityHeaders.all(isSecure: self.services.configuration.tls != nil) {
            response.headers[name] = value
        }
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        response.headers[.vary] = "Origin"
        if let origin = head.headerFields[.origin], self.services.configuration.origins.contains(origin) {
            response.headers[.accessControlAllowOrigin] = origin
            response.headers[.accessControlExposeHeaders] = "x-request-id, ratelimit, ratelimit-policy, retry-after"
        }
        if let verdict = record.facts.verdict {
            response.headers[.rateLimitPolicy] = "\"default\";q=\(verdict.limit);w=\(verdict.period)"
            response.headers[.rateLimit] = "\"default\";r=\(verdict.remaining);t=\(verdict.reset)"
        }
    }
}

/// What every answer carries.
enum SecurityHeaders {
    static func all(isSecure: Bool) -> [(HTTPField.Name, String)] {
        let always: [(HTTPField.Name, String)] = [
            (.xContentTypeOptions, "nosniff"), (.contentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'"),
            (.referrerPolicy, "no-referrer"),
        ]
        return always + (isSecure ? [(.strictTransportSecurity, "max-age=63072000; includeSubDomains")] : [])
    }
}

extension APIServices {
    /// What a failure below means to the client.
    func problem(of error: any Error, _ record: RequestRecord) -> Problem {
        if error is NIOTooManyBytesError {
            var problem = Problem(
                .tooLarge, "the body has more than \(self.configuration.bodyLimit) bytes")
            problem.closes = true
            return problem
        }
        if let error = error as? DomainError { return Problem(.invalid, error.message) }
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
