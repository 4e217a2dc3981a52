internal import Domain
internal import Foundation
internal import Hummingbird
internal import HummingbirdCore
internal import Jobs
internal import NIOCore
internal import ShimProtocol

/// An agent's output as server-sent events, for as long as the client's connection and its credential last.
struct EventFeed: Sendable {
    let channel: any Channel
    let services: APIServices
    let principal: Principal

    private enum Item: Sendable {
        case output(AgentOutput)
        case end(ExitRecord)
        case failure(String)
        case pause
    }

    /// Events that wait for a slow reader; beyond them the agent's shim waits, which loses nothing.
    private static let depth = 8
    private static let pause = Duration.seconds(15)

    /// Writes events until the agent's end. Returns early when the connection closes or the credential ends; throws when
    /// a write fails.
    @concurrent
    func run(_ agent: AgentAccess, from offset: UInt64, into writer: inout any ResponseBodyWriter) async throws {
        // Bounded by the semaphore, and by one pause at a time.
        let (items, feed) = AsyncStream.makeStream(of: Item.self)
        let permits = AsyncSemaphore(Self.depth)
        let pausing = KeepAlivePending()
        // The stream ends with its connection, also while there is nothing to write.
        self.channel.closeFuture.whenComplete { _ in feed.finish() }
        self.channel.triggerUserOutboundEvent(StreamBegan(), promise: nil)
        let tasks = Task {  // not a group: its body may not use `writer`. Cancelled below, on every way out
            await withDiscardingTaskGroup { group in
                group.addTask { feed.yield(await self.output(agent, offset, permits, feed)) }
                group.addTask {
                    let guardian = StreamGuardian(services: self.services, principal: self.principal)
                    guard await guardian.ended() else { return }
                    // Ends the stream also in the middle of a write.
                    self.channel.close(promise: nil)
                }
                group.addTask {
                    while await ContinuousClock.elapsed(Self.pause) {
                        if pausing.raise() { feed.yield(.pause) }
                    }
                }
            }
        }
        defer { tasks.cancel() }
        for await item in items {
            switch item {
            case .output(let part):
                let value: JSONValue = [
                    "offset": .integer(Int64(clamping: part.offset)),
                    "bytes": .string(Data(part.bytes).base64EncodedString()),
                ]
                try await self.write(
                    "event: output\nid: \(part.next)\ndata: \(value.text)\n\n", &writer)
                permits.give()
            case .end(let record):
                let value: JSONValue = ["exit_status": .integer(Int64(record.code))]
                return try await self.write("event: end\ndata: \(value.text)\n\n", &writer)
            case .failure(let reason):
                let value: JSONValue = ["detail": .string(reason)]
                return try await self.write("event: error\ndata: \(value.text)\n\n", &writer)
            case .pause:
                try await self.write(": still here\n\n", &writer)
                pausing.lower()
            }
        }
    }

    private func output(
        _ agent: AgentAccess, _ offset: UInt64, _ permits: AsyncSemaphore, _ feed: AsyncStream<Item>.Continuation
    ) async -> Item {
        do {
            return .end(
                try await agent.output(from: offset) { part in
                    try await permits.take()
                    feed.yield(.output(part))
                })
        } catch {
            return .failure("the agent's terminal can no longer be followed; the agent may be restarting")
        }
    }

    /// A client that does not read this in time has its connection closed.
    @concurrent
    private func write(_ text: String, _ writer: inout any ResponseBodyWriter) async throws {
        let channel = self.channel
        let deadline = channel.eventLoop.scheduleTask(in: HTTPConversation.writeTime) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        try await writer.write(ByteBuffer(string: text))
    }
}
