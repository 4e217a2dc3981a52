internal import Agents
internal import Credentials
internal import Domain
internal import Foundation
internal import Hummingbird
internal import HummingbirdCore
internal import NIOCore
internal import ShimProtocol
internal import Synchronization

/// An agent's output as server-sent events, for as long as the client listens and its credential holds.
struct EventFeed: Sendable {
    let channel: any Channel
    let services: APIServices
    let principal: Principal

    private enum Item: Sendable {
        case output(UInt64, [UInt8])
        case end(ExitRecord)
        case failure(String)
        case pause
    }

    /// Events that wait for a slow reader; then the agent's shim waits, which loses nothing.
    private static let depth = 8
    private static let pause = Duration.seconds(15)

    @concurrent
    func run(_ agent: AgentAccess, from offset: UInt64, into writer: inout any ResponseBodyWriter) async throws {
        // Bounded by the room, and by one pause at a time.
        let (items, feed) = AsyncStream.makeStream(of: Item.self)
        let room = AsyncSemaphore(Self.depth)
        let isPausing = KeepAlivePending()
        let tasks = Task {  // cancelled below, on every way out
            await withDiscardingTaskGroup { group in
                group.addTask { feed.yield(await self.output(agent, offset, room, feed)) }
                group.addTask {
                    let guardian = StreamGuardian(services: self.services, principal: self.principal)
                    guard await guardian.ended() else { return }
                    // Whatever it is writing ends with this.
                    self.channel.close(promise: nil)
                }
                group.addTask {
                    while (try? await ContinuousClock().sleep(for: Self.pause)) != nil {
                        if isPausing.raise() { feed.yield(.pause) }
                    }
                }
            }
        }
        defer { tasks.cancel() }
        self.channel.triggerUserOutboundEvent(StreamBegan(), promise: nil)
        for await item in items {
            switch item {
            case .output(let place, let bytes):
                let value: JSONValue = [
                    "offset": .integer(Int64(clamping: place)), "bytes": .string(Data(bytes).base64EncodedString()),
                ]
                try await self.write(
                    "event: output\nid: \(place + UInt64(bytes.count))\ndata: \(value.text)\n\n", &writer)
                await room.give()
            case .end(let record):
                let value: JSONValue = ["exit_status": .integer(Int64(record.code))]
                return try await self.write("event: end\ndata: \(value.text)\n\n", &writer)
            case .failure(let reason):
                let value: JSONValue = ["detail": .string(reason)]
                return try await self.write("event: error\ndata: \(value.text)\n\n", &writer)
            case .pause:
                try await self.write(": still here\n\n", &writer)
                isPausing.lower()
            }
        }
    }

    private func output(
        _ agent: AgentAccess, _ offset: UInt64, _ room: AsyncSemaphore, _ feed: AsyncStream<Item>.Continuation
    ) async -> Item {
        do {
            return .end(
                try await agent.output(from: offset) { place, bytes in
                    try await room.take()
                    feed.yield(.output(place, bytes))
                })
        } catch {
            return .failure("the agent's terminal cannot be followed any more; it may be starting again")
        }
    }

    /// A client that does not take this in time has its connection closed.
    @concurrent
    private func write(_ text: String, _ writer: inout any ResponseBodyWriter) async throws {
        let channel = self.channel
        let deadline = channel.eventLoop.scheduleTask(in: HTTPConversation.writeTime) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        try await writer.write(ByteBuffer(string: text))
    }
}

/// One signal that is under way at most.
final class KeepAlivePending: Sendable {
    private let isRaised = Atomic<Bool>(false)

    /// False when it was raised already.
    func raise() -> Bool { !self.isRaised.exchange(true, ordering: .relaxed) }
    func lower() { self.isRaised.store(false, ordering: .relaxed) }
}

/// Looks after an open stream's credential.
struct StreamGuardian: Sendable {
    let services: APIServices
    let principal: Principal

    /// Looks in a row that may tell nothing, before not knowing counts as revoked: together with what counts as fresh they
    /// stay below five seconds.
    private static let unknownLooksTolerated = 2

    /// Returns true once the credential does not hold any more, false when it was cancelled.
    func ended() async -> Bool {
        let interval = Duration.milliseconds(self.services.configuration.recheckInterval)
        var generation: UInt64?
        var unknown = 0
        while (try? await ContinuousClock().sleep(for: interval)) != nil {
            switch await self.services.authenticator.standing(of: self.principal, since: generation) {
            case .good(let now): (generation, unknown) = (now, 0)
            case .over: return true
            case .unknown:
                unknown += 1
                if unknown > Self.unknownLooksTolerated { return true }
            }
        }
        return false
    }
}

/// Lets so many pass until some were given back.
actor AsyncSemaphore {
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
