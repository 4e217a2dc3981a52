internal import NIOCore
internal import Synchronization

/// The open connections of one launch, and how fast new ones come.
final class LaunchConnections: Sendable {
    /// What may be done with a connection.
    enum Answer: Hashable {
        case serve
        /// It is answered with a refusal.
        case refuse
    }

    /// There are so many connections that one more is not even answered.
    struct Full: Error {}

    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var rate: TokenBucket
        var isEnded = false
    }

    private let state: Mutex<State>
    private let limit: Int
    /// Connections past the limit that are answered at the same time.
    private static let answered = 16

    init(_ limits: EgressServerLimits) {
        self.limit = limits.connections
        self.state = Mutex(
            State(rate: TokenBucket(burst: limits.connectionBurst, perSecond: limits.connectionsPerSecond)))
    }

    /// Adds a connection until it is closed. Throws `Full`, which closes it at once.
    func add(_ channel: any Channel) throws(Full) -> Answer {
        let id = ObjectIdentifier(channel)
        let answer: Answer? = self.state.withLock { state in
            guard !state.isEnded, state.channels.count < self.limit + Self.answered else { return nil }
            state.channels[id] = channel
            return state.channels.count <= self.limit && state.rate.take(at: .now()) ? .serve : .refuse
        }
        guard let answer else { throw Full() }
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { _ = $0.channels.removeValue(forKey: id) }
        }
        return answer
    }

    /// Closes all connections, also those that are accepted later.
    func end() {
        let channels = self.state.withLock { state in
            state.isEnded = true
            return Array(state.channels.values)
        }
        for channel in channels { channel.close(promise: nil) }
    }
}
