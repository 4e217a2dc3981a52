internal import Audit

/// Requests for which no credential was accepted, counted by address: the pure part of `AnonymousAudit`.
///
/// A fixed number of addresses is kept apart; the requests of all others are counted together, under `otherAddresses`.
struct AnonymousTally {
    /// One request without a principal.
    struct Request: Sendable {
        let id: String
        /// `GET /ai/jobs`, as the audit trail shows it.
        let line: String
        let status: Int
        let rule: String
        let reason: String
    }

    /// The requests of one address.
    struct Entry: Sendable {
        let address: String
        let first: Request
        var statuses: [Int: Int]

        var count: Int { self.statuses.values.reduce(0, +) }
    }

    /// What the row of the requests beyond the limit has for an address.
    static let otherAddresses = "others"

    private var entries: [String: Entry] = [:]
    private let limit: Int

    /// Keeps `limit` addresses apart.
    init(limit: Int) { self.limit = limit }

    /// Counts one request.
    mutating func note(_ request: Request, from address: String) {
        self.merge(Entry(address: address, first: request, statuses: [request.status: 1]))
    }

    /// Everything counted so far, ordered by address; the tally is empty then.
    mutating func drain() -> [Entry] {
        let drained = self.entries.values.sorted { $0.address < $1.address }
        self.entries = [:]
        return drained
    }

    /// Counts again what could not be written.
    mutating func restore(_ entries: some Sequence<Entry>) {
        for entry in entries { self.merge(entry) }
    }

    private mutating func merge(_ entry: Entry) {
        let isKnown = self.entries[entry.address] != nil
        let name = isKnown || self.entries.count < self.limit ? entry.address : Self.otherAddresses
        guard var known = self.entries[name] else {
            self.entries[name] = Entry(address: name, first: entry.first, statuses: entry.statuses)
            return
        }
        known.statuses.merge(entry.statuses, uniquingKeysWith: +)
        self.entries[name] = known
    }
}

extension AnonymousTally.Entry {
    /// The audit trail's row: of one request its own, of several the first one's with what was answered to how many.
    /// `time` is in milliseconds since the epoch.
    func event(node: String, time: UInt64) -> AuditEvent {
        let answers = self.statuses.sorted { $0.key < $1.key }
        let summary = answers.map { "\($0.value) × \($0.key)" }.joined(separator: ", ")
        var event = AuditEvent(
            kind: .request, workspace: nil, actor: "", action: self.first.line, jobID: nil,
            status: answers.map { String($0.key) }.joined(separator: ","), rule: self.first.rule, duration: .zero,
            errorReason: self.count == 1
                ? self.first.reason
                : "\(self.count) requests without an accepted credential were answered \(summary); the first: \(self.first.reason)",
            paramsDigest: [], node: node, time: time)
        event.requestID = self.first.id
        event.address = self.address
        event.count = self.count
        return event
    }
}
