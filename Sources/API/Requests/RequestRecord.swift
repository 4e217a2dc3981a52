internal import Domain
internal import Synchronization

/// What is found out about one request on its way; the audit trail's row is made of it.
final class RequestRecord: Sendable {
    struct Facts: Sendable {
        var principal: Principal?
        var operation: Operation?
        var address = ""
        var rule = ""
        var reason = ""
        var jobID: JobID?
        var paramsDigest: [UInt8] = []
        var paramsPrefix = ""
        var verdict: RateVerdict?
    }

    /// What the request is called, in its answer, in logs and in the audit trail.
    let id: String
    /// The trace that it belongs to (W3C Trace Context), to be handed on; empty for none.
    let traceparent: String
    /// `GET /ai/jobs`, cut short.
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

    func note(_ body: (inout Facts) -> Void) { self.state.withLock { body(&$0) } }
}
