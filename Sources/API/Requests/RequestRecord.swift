internal import Domain
internal import Synchronization

/// What becomes known about one request while it is processed; its row in the audit trail is made of it.
final class RequestRecord: Sendable {
    struct Facts: Sendable {
        var principal: Principal?
        var operation: Operation?
        /// The client's address, `local` on a Unix socket.
        var address = ""
        /// The client's network: of version 6 its first 64 bits.
        var network = ""
        var rule = ""
        var reason = ""
        var jobID: JobID?
        var paramsDigest: [UInt8] = []
        var paramsPrefix = ""
        var verdict: RateVerdict?
    }

    /// Names the request in its answer, in logs and in the audit trail.
    let id: String
    /// The trace that the request belongs to (W3C Trace Context), to be passed on; empty for none.
    let traceparent: String
    /// `GET /ai/jobs`, shortened.
    let line: String
    let startedAt: ContinuousClock.Instant
    private let state = Mutex(Facts())

    init(id: String, traceparent: String, line: String, startedAt: ContinuousClock.Instant) {
        self.id = id
        self.traceparent = traceparent
        self.line = line
        self.startedAt = startedAt
    }

    var facts: Facts { self.state.withLock { $0 } }

    /// Changes the facts; `body` runs under a lock and must be short.
    func note(_ body: (inout Facts) -> Void) { self.state.withLock { body(&$0) } }
}
