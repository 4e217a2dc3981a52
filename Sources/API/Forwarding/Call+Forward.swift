internal import Credentials
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import TransportSecurity

extension Call {
    /// The largest answer of another node that is passed on: more than any document of an agent.
    private static let answerLimit = 256 * 1024

    /// How long another node may take to answer: longer than it waits for the receipt of a message.
    private static let answerTime = TimeAmount.seconds(15)

    /// The answer of the node that runs the agent to this very request, with the caller's credential. Throws a `Problem`
    /// when the request cannot be forwarded, and when that node does not answer as expected.
    func forward(to elsewhere: OtherNode) async throws -> Response {
        let target = try await self.target(at: elsewhere)
        guard let ticket = self.services.streams.enter(.message, self.workspace, try self.jobID()) else {
            throw Self.tooManyMessages
        }
        defer { withExtendedLifetime(ticket) {} }
        let body = try await self.request.body.collect(upTo: self.services.configuration.bodyLimit)
        return try await self.reaching(elsewhere) {
            try await HTTPFetch.send(
                self.request.method == .post ? "POST" : "GET", target, headers: self.forwardedHeaders,
                body: Array(body.readableBytesView), limit: Self.answerLimit, timeout: Self.answerTime,
                authorityFile: self.services.configuration.peerAuthorityFile, group: self.services.group)
        }
    }

    /// The URL of this request at another node; throws a `Problem` when it must not or cannot be forwarded.
    func target(at elsewhere: OtherNode) async throws -> String {
        try elsewhere.target(
            address: try await self.services.peers.url(of: elsewhere.node, at: self.services.now()),
            isForwarded: !self.request.headers[values: .forwardedBy].isEmpty) + (self.request.head.path ?? "")
    }

    /// The other node's answer as this one's; throws what it means that there is none, and a `Problem` of this node as it is.
    func reaching(_ elsewhere: OtherNode, _ body: () async throws -> HTTPAnswer) async throws -> Response {
        let answer: HTTPAnswer
        do { answer = try await body() } catch { throw self.problem(reaching: elsewhere, error) }
        return try Self.response(answer, of: elsewhere, self.record)
    }

    /// What an error means on the way to another node; its text goes to the log.
    func problem(reaching elsewhere: OtherNode, _ error: any Error) -> any Error {
        if error is Problem || error is CancellationError { return error }
        self.services.logger.warning(
            "a request could not be forwarded to another node", error: error,
            metadata: [
                "request.id": "\(self.record.id)", "node": "\(Printable.text(elsewhere.node, limit: 100))",
            ])
        return Self.problem(of: error, elsewhere)
    }

    var forwardedHeaders: [(name: String, value: String)] {
        let fields: [(HTTPField.Name, String?)] = [
            (.authorization, self.request.headers[.authorization]), (.accept, "application/json"),
            (.contentType, self.request.headers[.contentType]),
            (.userAgent, "orchestra"), (.requestID, self.record.id), (.forwardedBy, self.services.node),
            (.traceparent, self.record.traceparent.isEmpty ? nil : self.record.traceparent),
            // Counts where this node is among the other's trusted proxies.
            (.forwardedFor, self.record.facts.address == "local" ? nil : self.record.facts.address),
        ]
        return fields.compactMap { name, value in value.map { (name.rawName, $0) } }
    }

    /// What it means that another node was not reached, or did not answer as it should.
    static func problem(of error: any Error, _ elsewhere: OtherNode) -> Problem {
        let isRefused =
            (error as? CredentialsError).map { $0.code != .unreachable }
            ?? (error as? TLSError).map { $0.code != .handshakeTimeout } ?? false
        guard isRefused else {
            return Problem(
                .unavailable, "\(elsewhere.sentence), whose API does not answer; try again in a moment", rule: "node",
                headers: [(.retryAfter, "5")])
        }
        return Problem(
            .badGateway,
            "\(elsewhere.sentence), whose API cannot be trusted or understood; the log has the reason",
            rule: "node")
    }

    /// The other node's answer as this one's. Throws a `Problem` for one that no API of ours gives.
    static func response(_ answer: HTTPAnswer, of elsewhere: OtherNode, _ record: RequestRecord) throws -> Response {
        let node = Printable.text(elsewhere.node, limit: 100)
        let type = answer["content-type"] ?? ""
        guard (200...299).contains(answer.status) || (400...599).contains(answer.status),
            ["application/json", "application/problem+json"].contains(type.prefix { $0 != ";" })
        else {
            throw Problem(
                .badGateway, "the node '\(node)' gave an answer that is not one of this API", rule: "node")
        }
        if answer.status >= 400 { record.note { $0.reason = "the node '\(node)' answered with \(answer.status)" } }
        var headers: HTTPFields = [.contentType: type]
        for name in [HTTPField.Name.retryAfter, .wwwAuthenticate] { headers[name] = answer[name.canonicalName] }
        return Response(
            status: HTTPResponse.Status(code: answer.status), headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body)))
    }
}

extension APIServices {
    /// The answer where a request for another node is not forwarded, with that node's address where it is known.
    func misdirected(_ elsewhere: OtherNode) async -> Problem {
        do {
            return elsewhere.problem(address: try await self.peers.url(of: elsewhere.node, at: self.now()))
        } catch {
            self.logger.debug("the address of another node's API could not be read", error: error)
            return elsewhere.problem()
        }
    }
}
