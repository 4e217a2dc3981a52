internal import Domain
internal import Egress
internal import NIOCore

/// Connections to model providers that wait for the next call: a handshake for each call would take longer than the call's
/// way through the listener. Each event loop has a pool of its own.
final class UpstreamPool {
    /// Whose calls a connection takes, and to which host: no workspace uses the connection of another.
    struct Key: Hashable {
        let workspace: WorkspaceID
        let host: EgressHost
        let port: UInt16
    }

    struct Idle {
        let channel: any Channel
        let handler: UpstreamHandler
        let address: EgressAddress
    }

    private var idle: [Key: [(idle: Idle, timer: Scheduled<Void>)]] = [:]

    /// How many wait for one key, and for how long. Providers keep them for longer.
    private static let limit = 8
    private static let lifetime = TimeAmount.seconds(30)

    /// Takes the youngest connection that is open.
    func take(_ key: Key) -> Idle? {
        while let last = self.idle[key]?.popLast() {
            if self.idle[key]?.isEmpty == true { self.idle[key] = nil }
            last.timer.cancel()
            if last.idle.channel.isActive { return last.idle }
        }
        return nil
    }

    /// Keeps a connection, or closes it when there are enough. It is read, so that its end is seen.
    func put(_ key: Key, _ connection: Idle) {
        let channel = connection.channel
        guard channel.isActive, self.idle[key]?.count ?? 0 < Self.limit else { return channel.close(promise: nil) }
        let timer = channel.eventLoop.assumeIsolated().scheduleTask(in: Self.lifetime) {
            self.remove(key, channel)
            channel.close(promise: nil)
        }
        connection.handler.whenUnused = { self.remove(key, channel) }
        self.idle[key, default: []].append((connection, timer))
        channel.read()
    }

    private func remove(_ key: Key, _ channel: any Channel) {
        guard let index = self.idle[key]?.firstIndex(where: { $0.idle.channel === channel }) else { return }
        self.idle[key]?.remove(at: index).timer.cancel()
        if self.idle[key]?.isEmpty == true { self.idle[key] = nil }
    }
}
