package import Domain

/// The state of a delivery in the pipeline, from which its completion is made.
package struct RunReport: Sendable {
    package let delivery: Delivery
    /// Milliseconds since the epoch by the clock of Redis.
    package let startedAt: UInt64
    /// The opened job; nil until then, and if the entry cannot be opened.
    package var job: Job?
    /// The policy rule that decided, or the name of the check that refused the job.
    package var rule = "none"
    package var maxAttempts = 1
    package var outcome = Outcome.refused(reason: "there was no policy decision")
    /// The delay of another attempt when the job could not be opened, which does not count; nil otherwise.
    package var postponement: Duration?
    /// JSON with the output of a run that was cut off; nil if there is none.
    package var evidence: [UInt8]?

    init(delivery: Delivery, startedAt: UInt64) {
        self.delivery = delivery
        self.startedAt = startedAt
    }

    /// Ends the job without a run.
    mutating func refuse(_ reason: String, rule: String) {
        self.outcome = .refused(reason: reason)
        self.rule = rule
    }

    var idText: String { self.delivery.jobID?.description ?? "unknown" }
    /// Milliseconds since the epoch; 0 if unknown.
    var submittedAt: UInt64 { self.job?.submittedAt ?? self.delivery.jobID?.milliseconds ?? 0 }

    /// The time since the start, at `now` in milliseconds since the epoch.
    func runTime(until now: UInt64) -> Duration { .milliseconds(now - min(now, self.startedAt)) }

    /// Whether the run counts as a failed attempt.
    var isFailure: Bool {
        switch self.outcome {
        case .failed, .cancelled(.timeout): true
        case .completed, .refused, .unknown, .notStarted, .cancelled: false
        }
    }

    /// The reason in the record and the audit event, at most 500 characters; empty after a success.
    var reason: String {
        if self.postponement != nil { return "the job could not be opened" }
        return switch self.outcome {
        case .completed: ""
        case .failed(let failure): Printable.text(failure.reason, limit: 500)
        case .refused(let reason), .unknown(let reason), .notStarted(let reason, _):
            Printable.text(reason, limit: 500)
        case .cancelled(.timeout): "the time limit was reached"
        case .cancelled(let reason): "cancelled: \(reason.rawValue)"
        }
    }

    /// The JSON that is sealed as the result; nil if there is none.
    var detail: [UInt8]? {
        switch self.outcome {
        case .completed(let result): result
        case .failed(let failure): failure.detail
        case .unknown, .cancelled(.user), .cancelled(.timeout), .cancelled(.security): self.evidence
        case .refused, .notStarted, .cancelled(.drain), .cancelled(.leaseLost): nil
        }
    }
}
