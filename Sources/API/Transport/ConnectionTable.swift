internal import DequeModule

/// The open connections by the address they come from, and which of them are idle: the pure part of
/// `ConnectionRegistry`.
///
/// One address has a share. When all places are taken, the connection that has been idle longest makes room.
struct ConnectionTable<ID: Hashable & Sendable> {
    private struct Entry {
        /// Nil for one that no share bounds.
        let address: String?
        /// When it became idle, as a number that only grows; nil while it serves a request.
        var idleSince: UInt64?
    }

    /// The answer to a new connection.
    enum Admission: Equatable {
        /// Its address has its share already.
        case refused
        /// It is taken up, and this one must be closed to make room.
        case admitted(evicting: ID?)
    }

    private var entries: [ID: Entry] = [:]
    private var counts: [String: Int] = [:]
    /// Connections in the order in which they became idle, with those that have left or become busy since.
    private var idle: Deque<(id: ID, since: UInt64)> = []
    private var ticks: UInt64 = 0
    private let limit: Int
    private let addressLimit: Int

    /// `limit` connections in all, `addressLimit` of one address.
    init(limit: Int, addressLimit: Int) {
        self.limit = limit
        self.addressLimit = addressLimit
    }

    var count: Int { self.entries.count }

    /// Takes up a connection, which is idle at first. `address` is nil for one that no share bounds.
    mutating func add(_ id: ID, from address: String?) -> Admission {
        if let address {
            guard self.counts[address, default: 0] < self.addressLimit else { return .refused }
            self.counts[address, default: 0] += 1
        }
        let evicted = self.entries.count >= self.limit ? self.oldestIdle() : nil
        self.entries[id] = Entry(address: address, idleSince: nil)
        self.markIdle(id)
        return .admitted(evicting: evicted)
    }

    /// The connection serves a request from now on.
    mutating func markBusy(_ id: ID) { self.entries[id]?.idleSince = nil }

    /// The connection waits for its next request from now on.
    mutating func markIdle(_ id: ID) {
        guard self.entries[id] != nil else { return }
        self.ticks += 1
        self.entries[id]?.idleSince = self.ticks
        self.idle.append((id, self.ticks))
        guard self.idle.count > 2 * self.entries.count + 64 else { return }
        self.idle = Deque(self.idle.filter { self.entries[$0.id]?.idleSince == $0.since })
    }

    /// The connection has closed.
    mutating func remove(_ id: ID) {
        guard let entry = self.entries.removeValue(forKey: id), let address = entry.address else { return }
        self.counts[address, default: 1] -= 1
        if self.counts[address] == 0 { self.counts[address] = nil }
    }

    private mutating func oldestIdle() -> ID? {
        while let (id, since) = self.idle.popFirst() {
            guard self.entries[id]?.idleSince == since else { continue }
            // It is closing: it is not chosen again.
            self.markBusy(id)
            return id
        }
        return nil
    }
}
