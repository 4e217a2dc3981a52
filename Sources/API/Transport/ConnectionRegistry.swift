internal import NIOCore
internal import Synchronization

/// Every connection that is open: bounded for each address, and closed at a stop when it would not end by itself.
final class ConnectionRegistry: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var counts: [String: Int] = [:]
    }

    private let state = Mutex(State())
    private let limit: Int
    private let proxies: [AddressRange]

    /// `limit` connections of one address at most, unless it is a proxy's.
    init(limit: Int, proxies: [AddressRange]) {
        self.limit = limit
        self.proxies = proxies
    }

    /// False when the address has as many as it may.
    func add(_ channel: any Channel) -> Bool {
        let id = ObjectIdentifier(channel)
        let address = IPAddress(channel.remoteAddress)
        let isBound = address.map { address in !self.proxies.contains { $0.contains(address) } } ?? false
        let name = isBound ? address?.network ?? "" : ""
        let isTaken = self.state.withLock { state in
            if isBound {
                guard state.counts[name, default: 0] < self.limit else { return false }
                state.counts[name, default: 0] += 1
            }
            state.channels[id] = channel
            return true
        }
        guard isTaken else { return false }
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { state in
                state.channels[id] = nil
                guard isBound else { return }
                state.counts[name, default: 1] -= 1
                if state.counts[name] == 0 { state.counts[name] = nil }
            }
        }
        return true
    }

    func closeAll() {
        for channel in self.state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }
}
