package import Domain
package import Jobs

/// What is known of a delivery while it passes through the pipeline.
package struct RunReport: Sendable {
    package let delivery: Delivery
    package let startedAt: UInt64
    package var job: Job?
    package var rule = "none"
    package var maxAttempts = 1
    package var outcome = Outcome.refused(reason: "it was not decided")
    /// It could not even be opened, and is tried again so much later.
    package var postponement: Duration?

    init(delivery: Delivery, startedAt: UInt64) {
        self.delivery = delivery
        self.startedAt = startedAt
    }

    mutating func refuse(_ reason: String, rule: String) {
        self.outcome = .refused(reason: reason)
        self.rule = rule
    }

    var idText: String { self.delivery.jobID?.description ?? "unknown" }
    var submittedAt: UInt64 { self.job?.submittedAt ?? self.delivery.jobID?.milliseconds ?? 0 }

    func runTime(until now: UInt64) -> Duration { .milliseconds(now - min(now, self.startedAt)) }

    var isFailure: Bool {
        switch self.outcome {
        case .failed, .cancelled(.timeout): true
        case .completed, .refused, .unknown, .cancelled: false
        }
    }

    /// The sentence that the record and the audit row carry; at most 500 characters.
    var reason: String {
        if self.postponement != nil { return "it could not be opened" }
        return switch self.outcome {
        case .completed: ""
        case .failed(let failure): Printable.text(failure.reason, limit: 500)
        case .refused(let reason), .unknown(let reason): Printable.text(reason, limit: 500)
        case .cancelled(.timeout): "its time was up"
        case .cancelled(let reason): "cancelled: \(reason.rawValue)"
        }
    }

    /// What is sealed as the job's result.
    var detail: [UInt8]? {
        switch self.outcome {
        case .completed(let result): result
        case .failed(let failure): failure.detail
        case .refused, .unknown, .cancelled: nil
        }
    }
}

/// What follows from an outcome: written, tried again, or given up.
package struct RetryPolicy: Sendable {
    package var firstDelay: Duration
    package var longestDelay: Duration
    /// Deaths of a node under a job after which it is not run again.
    package var crashLimit: Int
    /// A factor from 0 to 1: full jitter.
    package var jitter: @Sendable () -> Double

    package init(
        firstDelay: Duration = .seconds(1), longestDelay: Duration = .seconds(600), crashLimit: Int = 3,
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0...1) }
    ) {
        self.firstDelay = firstDelay
        self.longestDelay = longestDelay
        self.crashLimit = crashLimit
        self.jitter = jitter
    }

    package func end(of report: RunReport) -> Completion.End {
        if let postponement = report.postponement { return .retry(after: postponement) }
        let attempt = report.delivery.failures + 1
        switch report.outcome {
        case .completed: return .completed
        case .refused: return .discarded
        case .unknown: return .unresolved
        case .cancelled(.user), .cancelled(.security): return .cancelled
        case .cancelled(.drain), .cancelled(.leaseLost): return .released
        case .failed(let failure) where !failure.isRetryable: return .discarded
        case .failed, .cancelled(.timeout):
            guard attempt < report.maxAttempts else { return .discarded }
            let longest = min(self.longestDelay, self.firstDelay * (1 << min(attempt - 1, 20)))
            return .retry(after: longest * self.jitter())
        }
    }
}
