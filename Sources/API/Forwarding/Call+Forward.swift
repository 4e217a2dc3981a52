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

    /// The answer of the node that runs the agent to this very request, with the caller's credential. Throws a `Problem`
    /// when the request cannot be forwarded, and when that node does not answer as expected.
    func forward(to elsewhere: AgentElsewhere) async throws -> Response {
        let node = Printable.text(elsewhere.node, limit: 100)
        let target = try elsewhere.target(
            address: try await self.services.peers.url(of: elsewhere.node, at: self.services.now()),
            isForwarded: !self.request.headers[values: .forwardedBy].isEmpty)
        guard let ticket = self.services.streams.enter(.message, self.workspace, try self.jobID()) else {
            throw Self.tooManyMessages
        }
        defer { withExtendedLifetime(ticket) {} }
        let answer: HTTPAnswer
        do {
            answer = try await HTTPFetch.get(
                target + (self.request.head.path ?? ""), headers: self.forwardedHeaders, limit: Self.answerLimit,
                authorityFile: self.services.configuration.peerAuthorityFile, group: self.services.group)
        } catch let error as CancellationError {
            throw error
        } catch {
            self.services.logger.warning(
                "a request could not be forwarded to another node", error: error,
                metadata: ["request.id": "\(self.record.id)", "node": "\(node)"])
            throw Self.problem(of: error, node)
        }
        return try Self.response(answer, of: node, self.record)
    }

    private var forwardedHeaders: [(name: String, value: String)] {
        let fields: [(HTTPField.Name, String?)] = [
            (.authorization, self.request.headers[.authorization]), (.accept, "application/json"),
            (.userAgent, "orchestra"), (.requestID, self.record.id), (.forwardedBy, self.services.node),
            (.traceparent, self.record.traceparent.isEmpty ? nil : self.record.traceparent),
            // Counts where this node is among the other's trusted proxies.
            (.forwardedFor, self.record.facts.address == "local" ? nil : self.record.facts.address),
        ]
        return fields.compactMap { name, value in value.map { (name.rawName, $0) } }
    }

    /// What it means that another node was not reached, or did not answer as it should.
    static func problem(of error: any Error, _ node: String) -> Problem {
        let isRefused =
            (error as? CredentialsError).map { $0.code != .unreachable }
            ?? (error as? TLSError).map { $0.code != .handshakeTimeout } ?? false
        guard isRefused else {
            return Problem(
                .unavailable, "the agent runs on the node '\(node)', whose API does not answer; try again in a moment",
                rule: "node", headers: [(.retryAfter, "5")])
        }
        return Problem(
            .badGateway,
            "the agent runs on the node '\(node)', whose API cannot be trusted or understood; the log has the reason",
            rule: "node")
    }

    /// The other node's answer as this one's. Throws a `Problem` for one that no API of ours gives.
    static func response(_ answer: HTTPAnswer, of node: String, _ record: RequestRecord) throws -> Response {
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
