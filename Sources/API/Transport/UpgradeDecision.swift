internal import Domain
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypesHTTP1

/// Decides about a request for a WebSocket as the router's pipeline does about every other: admitted, authorized, recorded.
struct UpgradeDecision: Sendable {
    let pipeline: RequestPipeline

    private static let suffix = "/terminal"
    private static let prefix = "/ai/agents/"

    private var gatekeeper: Gatekeeper { self.pipeline.gatekeeper }

    /// Decides about a request and records it; never throws.
    func decide(_ head: HTTPRequestHead, _ channel: any Channel) async -> UpgradeVerdict {
        // The error names only the part that is malformed.
        guard
            let request = try? HTTPRequest(
                head, secure: self.gatekeeper.services.configuration.tls != nil, splitCookie: false)
        else {
            let response = await self.pipeline.answerUnreadable(HTTPParserError.unknown, on: channel)
            return Self.refusal(response.status.code, response.headers, "")
        }
        let record = self.gatekeeper.record(for: request)
        do {
            let socket = try await self.socket(for: request, head, channel, record)
            try await self.gatekeeper.conclude(record, status: 101)
            self.note(record, 101)
            return .accept(socket, Self.headers(self.pipeline.decorated([:], request, record)))
        } catch {
            var problem = self.pipeline.problem(error, record)
            do {
                try await self.gatekeeper.conclude(record, status: problem.status.code)
            } catch {
                problem = self.pipeline.problem(error, record)
            }
            self.note(record, problem.status.code)
            let fields = problem.response(requestID: record.id).headers
            return Self.refusal(
                problem.status.code, self.pipeline.decorated(fields, request, record),
                problem.body(requestID: record.id).text)
        }
    }

    private func note(_ record: RequestRecord, _ status: Int) {
        self.gatekeeper.services.requests.note(
            record.facts.operation, status: status, after: record.startedAt.duration(to: .now))
    }

    private func socket(
        for request: HTTPRequest, _ head: HTTPRequestHead, _ channel: any Channel, _ record: RequestRecord
    ) async throws -> TerminalSocket {
        let services = self.gatekeeper.services
        guard let principal = try await self.gatekeeper.admit(request, peer: channel.remoteAddress, record) else {
            throw Problem(.notFound, "there is no WebSocket at this path")
        }
        let (path, query) = Self.parts(of: head.uri)
        // A text that is not an ID names no agent.
        guard path.hasPrefix(Self.prefix), path.hasSuffix(Self.suffix),
            let id = JobID(ifValid: String(path.dropFirst(Self.prefix.count).dropLast(Self.suffix.count)))
        else { throw Problem(.notFound, "there is no WebSocket at this path; expected /ai/agents/ID/terminal") }
        record.note { $0.jobID = id }
        try self.gatekeeper.authorize(principal, .readAgent, record)
        try Self.checkHandshake(head)
        let offset: UInt64
        if query.isEmpty {
            offset = 0
        } else {
            guard query.hasPrefix("offset="), let number = UInt64(query.dropFirst(7)), number < 1 << 50 else {
                throw Problem(.invalid, "the query may only have 'offset', the number of a byte")
            }
            offset = number
        }
        let agent: AgentAccess
        do { agent = try await AgentAccess.find(id, for: principal, services) } catch let elsewhere as OtherNode {
            throw await services.misdirected(elsewhere)
        }
        let ticket = try Call.streamTicket(for: principal, id, services)
        return TerminalSocket(
            agent: agent, offset: offset, principal: principal, gatekeeper: self.gatekeeper, requestID: record.id,
            ticket: ticket)
    }

    private static func parts(of uri: String) -> (path: Substring, query: Substring) {
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return (parts.first ?? "", parts.count == 2 ? parts[1] : "")
    }

    /// Throws a `Problem` for a handshake that RFC 6455 §4.2.1 does not allow.
    private static func checkHandshake(_ head: HTTPRequestHead) throws {
        guard head.headers["sec-websocket-version"] == ["13"] else {
            throw Problem(
                .upgradeRequired, "the WebSocket's version must be 13",
                headers: [(.webSocketVersion, "13")])
        }
        let keys = head.headers["sec-websocket-key"]
        guard keys.count == 1, keys[0].utf8.count == 24, Data(base64Encoded: keys[0])?.count == 16 else {
            throw Problem(.malformed, "the WebSocket's key must be 16 bytes in base 64")
        }
    }

    private static func headers(_ fields: HTTPFields) -> HTTPHeaders {
        HTTPHeaders(fields.map { ($0.name.rawName, $0.value) })
    }

    private static func refusal(_ status: Int, _ fields: HTTPFields, _ body: String) -> UpgradeVerdict {
        .refuse(
            HTTPResponseHead(
                version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: self.headers(fields)),
            ByteBuffer(string: body))
    }
}
