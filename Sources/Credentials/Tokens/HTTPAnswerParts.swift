internal import Domain
internal import NIOCore
internal import NIOHTTP1

/// An answer that is read part by part.
package struct HTTPAnswerParts {
    private var parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator

    init(_ parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator) { self.parts = parts }

    /// The next status and headers, without a body; of interim answers only 100. Throws when the connection ends before.
    @concurrent
    mutating func head() async throws -> HTTPAnswer {
        while let part = try await self.parts.next() {
            guard case .head(let head) = part, head.status.code >= 200 || head.status == .continue else { continue }
            return HTTPAnswer(
                status: Int(head.status.code), headers: head.headers.map { ($0.name, $0.value) }, body: [])
        }
        throw Self.cutShort
    }

    /// The next part of the body, nil at its end. Throws when the connection ends before that.
    @concurrent
    package mutating func next() async throws -> [UInt8]? {
        while let part = try await self.parts.next() {
            switch part {
            case .body(let bytes): return Array(bytes.readableBytesView)
            case .end: return nil
            case .head: continue
            }
        }
        throw Self.cutShort
    }

    /// The whole body; throws as `next`, and `malformedDocument` when it has more than `limit` bytes.
    @concurrent
    package mutating func collect(limit: Int) async throws -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = try await self.next() {
            guard all.count + bytes.count <= limit else {
                throw CredentialsError(code: .malformedDocument, message: "the answer has more than \(limit) bytes")
            }
            all += bytes
        }
        return all
    }

    private static var cutShort: CredentialsError {
        CredentialsError(code: .unreachable, message: "the connection was closed before the answer's end")
    }
}
