internal import Credentials
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NIOHTTP1

extension Call {
    /// How long a transfer through another node may take: its programs have ten minutes each there.
    private static let transferTime = TimeAmount.minutes(25)
    /// The largest answer that is not an archive.
    private static let documentLimit = 64 * 1024

    /// The other node refused the transfer.
    private struct Refusal: Error {
        let answer: HTTPAnswer
    }

    /// Moves the files through the node that has them, part by part, with the caller's credential. Throws a `Problem` when
    /// that cannot be done; an archive that breaks off on the way breaks off here.
    func forwardFiles(to elsewhere: OtherNode) async throws -> Response {
        let target = try await self.target(at: elsewhere)
        let place = try self.transferPlace()
        guard let incoming = self.context.incoming else {
            return try await self.forwardedArchive(target, elsewhere, place)
        }
        defer { withExtendedLifetime(place) {} }
        return try await self.reaching(elsewhere) {
            try await self.whileCredentialHolds {
                try await self.stream("PUT", target, body: { try await Self.part(of: incoming) }) { head, parts in
                    head.with(body: try await parts.collect(limit: Self.documentLimit))
                }
            }
        }
    }

    private func forwardedArchive(
        _ target: String, _ elsewhere: OtherNode, _ place: StreamTicket
    ) async throws -> Response {
        let feed = ArchiveFeed(
            on: self.context.channel, place: place,
            guardian: StreamGuardian(services: self.services, principal: self.principal)
        ) { sink in
            try await self.stream("GET", target, body: nil) { head, parts in
                guard head.status == 200, head["content-type"] == Endpoint.archiveType else {
                    throw Refusal(answer: head.with(body: try await parts.collect(limit: Self.documentLimit)))
                }
                while let bytes = try await parts.next() { try await sink(bytes) }
            }
        }
        do {
            return try await feed.response()
        } catch let refusal as Refusal {
            return try Self.response(refusal.answer, of: elsewhere, self.record)
        } catch {
            throw self.problem(reaching: elsewhere, error)
        }
    }

    private func stream<Value: Sendable>(
        _ method: String, _ target: String, body: (@Sendable () async throws -> [UInt8])?,
        answered: @concurrent @Sendable (HTTPAnswer, inout HTTPAnswerParts) async throws -> Value
    ) async throws -> Value {
        try await HTTPFetch.stream(
            method, target, headers: self.forwardedHeaders, body: body, within: Self.transferTime,
            authorityFile: self.services.configuration.peerAuthorityFile, group: self.services.group,
            answered: answered)
    }

    /// The next part of the client's body. Its parser's errors are not the other node's.
    private static func part(of incoming: IncomingBody) async throws -> [UInt8] {
        do {
            return try await incoming.next().map { Array($0.readableBytesView) } ?? []
        } catch let error as HTTPParserError {
            throw RequestPipeline.unreadable(error)
        }
    }
}
