internal import NIOCore
internal import Synchronization

/// The open connections of one launch.
final class LaunchConnections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isEnded = false
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Adds a connection until it is closed. Returns whether there was room for it.
    func add(_ channel: any Channel) -> Bool {
        let id = ObjectIdentifier(channel)
        let (hasRoom, isEnded) = self.state.withLock { state in
            state.channels[id] = channel
            return (state.channels.count <= self.limit, state.isEnded)
        }
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { _ = $0.channels.removeValue(forKey: id) }
        }
        if isEnded { channel.close(promise: nil) }
        return hasRoom
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
