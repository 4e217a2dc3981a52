internal import Domain
package import Jobs

/// Decides how a run ends: with a completion, with another attempt after a delay, or with a dead letter.
package struct RetryPolicy: Sendable {
    /// The maximum delay before the second attempt. It doubles with each further attempt.
    package var firstDelay: Duration
    /// The maximum delay before any attempt.
    package var longestDelay: Duration
    /// The number of node deaths during a job after which it is not run again.
    package var crashLimit: Int
    /// Returns a random factor from 0 to 1 for each delay (full jitter).
    package var jitter: @Sendable () -> Double

    /// Defaults to delays of at most 1 s at first and 600 s at last, and 3 node deaths; checks nothing.
    package init(
        firstDelay: Duration = .seconds(1), longestDelay: Duration = .seconds(600), crashLimit: Int = 3,
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0...1) }
    ) {
        self.firstDelay = firstDelay
        self.longestDelay = longestDelay
        self.crashLimit = crashLimit
        self.jitter = jitter
    }

    /// The end of a run, from its outcome, its earlier failures and the action's maximum number of attempts.
    package func end(of report: RunReport) -> Completion.End {
        if let postponement = report.postponement { return .retry(after: postponement) }
        let attempt = report.delivery.failures + 1
        switch report.outcome {
        case .completed: return .completed
        case .refused: return .discarded
        case .unknown: return .unresolved
        case .cancelled(.user), .cancelled(.security): return .cancelled
        case .notStarted, .cancelled(.drain), .cancelled(.leaseLost): return .released
        case .failed(let failure) where !failure.isRetryable: return .discarded
        case .failed, .cancelled(.timeout):
            guard attempt < report.maxAttempts else { return .discarded }
            let longest = min(self.longestDelay, self.firstDelay * (1 << min(attempt - 1, 20)))
            return .retry(after: longest * self.jitter())
        }
    }
}
