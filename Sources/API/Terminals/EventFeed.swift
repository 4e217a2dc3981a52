internal import Agents
internal import Credentials
internal import Domain
internal import Foundation
internal import Hummingbird
internal import HummingbirdCore
internal import NIOCore
internal import ShimProtocol

/// An agent's output as server-sent events, for as long as the client listens and its credential holds.
struct EventFeed: Sendable {
    let channel: any Channel
    let services: APIServices
    let principal: Principal

    private enum Item: Sendable {
        case output(UInt64, [UInt8])
        case end(ExitRecord?)
        case pause
        /// The credential was revoked, or the client has gone.
        case over
    }

    /// Events that wait for a slow reader; then the agent's shim waits, which loses nothing.
    private static let depth = 8
    private static let pause = Duration.seconds(15)

    @concurrent
    func run(_ agent: AgentDoor, from offset: UInt64, into writer: inout any ResponseBodyWriter) async throws {
        let (items, feed) = AsyncStream.makeStream(of: Item.self, bufferingPolicy: .bufferingOldest(1024))
        let room = Room(Self.depth)
        let tasks = Task {  // ended below, on every way out
            await withDiscardingTaskGroup { group in
                group.addTask {
                    let record = try? await agent.output(from: offset) { place, bytes in
                        try await room.take()
                        feed.yield(.output(place, bytes))
                    }
                    feed.yield(.end(record ?? nil))
                }
                group.addTask { await self.watch(feed) }
                group.addTask {
                    while (try? await ContinuousClock().sleep(for: Self.pause)) != nil { feed.yield(.pause) }
                }
            }
        }
        let gone = self.channel.closeFuture
        gone.whenComplete { _ in feed.yield(.over) }
        defer { tasks.cancel() }
        for await item in items {
            switch item {
            case .output(let place, let bytes):
                let value: JSONValue = [
                    "offset": .integer(Int64(clamping: place)), "bytes": .string(Data(bytes).base64EncodedString()),
                ]
                try await writer.write(
                    ByteBuffer(
                        string: "event: output\nid: \(place + UInt64(bytes.count))\ndata: \(value.text)\n\n"))
                await room.give()
            case .end(let record):
                let value: JSONValue = ["exit_status": record.map { .integer(Int64($0.code)) } ?? .null]
                return try await writer.write(ByteBuffer(string: "event: end\ndata: \(value.text)\n\n"))
            case .pause: try await writer.write(ByteBuffer(string: ": still here\n\n"))
            case .over: return
            }
        }
    }

    private func watch(_ feed: AsyncStream<Item>.Continuation) async {
        let interval = Duration.milliseconds(self.services.configuration.recheckInterval)
        while (try? await ContinuousClock().sleep(for: interval)) != nil {
            if await !self.services.authenticator.isStillGood(self.principal) { feed.yield(.over) }
        }
    }
}

/// Lets so many pass until some were given back.
actor Room {
    private var left: Int
    private var waiters: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { self.left = count }

    /// Throws `CancellationError` when the caller was cancelled meanwhile.
    func take() async throws {
        if self.left > 0 {
            self.left -= 1
        } else {
            await withTaskCancellationHandler {
                await withCheckedContinuation { self.waiters.append($0) }
            } onCancel: {
                Task { await self.letAllGo() }  // ends at once; the waiters are what waits
            }
        }
        try Task.checkCancellation()
    }

    func give() {
        if self.waiters.isEmpty { self.left += 1 } else { self.waiters.removeFirst().resume() }
    }

    private func letAllGo() {
        let waiters = self.waiters
        self.waiters = []
        for waiter in waiters { waiter.resume() }
    }
}
