internal import NIOCore
internal import Synchronization

/// Every open connection of the API: bounded for each address, the longest idle closed when there are too many, and all
/// closed when the server stops.
final class ConnectionRegistry: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var table: ConnectionTable<ObjectIdentifier>
    }

    private let state: Mutex<State>
    private let proxies: [AddressRange]

    /// At most `addressLimit` connections of one address, unless it is a proxy's. From `limit` connections on the
    /// longest idle one is closed for each new one.
    init(limit: Int, addressLimit: Int, proxies: [AddressRange]) {
        self.state = Mutex(State(table: ConnectionTable(limit: limit, addressLimit: addressLimit)))
        self.proxies = proxies
    }

    /// False when the address has as many as it may; the caller closes the channel then.
    func add(_ channel: any Channel) -> Bool {
        let id = ObjectIdentifier(channel)
        let address = IPAddress(channel.remoteAddress)
        let isBound = address.map { address in !self.proxies.contains { $0.contains(address) } } ?? false
        let (isAdmitted, evicted) = self.state.withLock { state -> (Bool, (any Channel)?) in
            guard case .admitted(let evicted) = state.table.add(id, from: isBound ? address?.network : nil) else {
                return (false, nil)
            }
            state.channels[id] = channel
            return (true, evicted.flatMap { state.channels[$0] })
        }
        guard isAdmitted else { return false }
        evicted?.close(promise: nil)
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { state in
                state.channels[id] = nil
                state.table.remove(id)
            }
        }
        return true
    }

    /// The connection serves a request: it is not closed to make room.
    func markBusy(_ channel: any Channel) {
        self.state.withLock { $0.table.markBusy(ObjectIdentifier(channel)) }
    }

    /// The connection waits for its next request.
    func markIdle(_ channel: any Channel) {
        self.state.withLock { $0.table.markIdle(ObjectIdentifier(channel)) }
    }

    /// Closes every connection.
    func closeAll() {
        for channel in self.state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }
}
