package import CoreMetrics
internal import Domain
internal import Jobs
internal import Synchronization

/// The counters and histograms of jobs. Keeps the metric handles, because a lookup by label costs microseconds.
package final class JobMetrics: Sendable {
    private struct Handles {
        var jobs: [String: Counter] = [:]
        var durations: [String: Recorder] = [:]
    }

    private let factory: any MetricsFactory
    private let handles = Mutex(Handles())
    private let wait: Recorder
    private let auditRows: Counter
    private let deadRefused: Counter
    private let deadFailed: Counter
    private let deadUnresolved: Counter
    private let retries: Counter
    private let claimedNew: Counter
    private let claimedRecovered: Counter
    private let rescued: Counter
    private let lost: Counter

    /// Registers the counters of jobs and the recorder of their waiting times with `factory`.
    package init(factory: any MetricsFactory) {
        self.factory = factory
        self.wait = Recorder(label: "orchestra_job_wait_seconds", factory: factory)
        self.auditRows = Counter(label: "orchestra_audit_rows_total", factory: factory)
        self.deadRefused = Counter(
            label: "orchestra_dead_letters_total", dimensions: [("reason", "refused")], factory: factory)
        self.deadFailed = Counter(
            label: "orchestra_dead_letters_total", dimensions: [("reason", "failed")], factory: factory)
        self.deadUnresolved = Counter(
            label: "orchestra_dead_letters_total", dimensions: [("reason", "unresolved")], factory: factory)
        self.retries = Counter(label: "orchestra_job_retries_total", factory: factory)
        func claims(_ reason: String) -> Counter {
            Counter(label: "orchestra_claims_total", dimensions: [("reason", reason)], factory: factory)
        }
        self.claimedNew = claims("new")
        self.claimedRecovered = claims("recovered")
        self.rescued = claims("rescued")
        self.lost = Counter(label: "orchestra_jobs_lost_total", factory: factory)
    }

    /// Counts claimed jobs; `isRecovered` for jobs of an earlier incarnation or of a lost answer.
    package func claimed(_ count: Int, isRecovered: Bool) {
        (isRecovered ? self.claimedRecovered : self.claimedNew).increment(by: count)
    }

    /// Counts jobs that were rescued from dead nodes.
    package func rescued(_ count: Int) { self.rescued.increment(by: count) }

    /// Counts waiting jobs whose entries Redis lost.
    func lost(_ count: Int) { self.lost.increment(by: count) }

    /// Records a written completion, at `now` in milliseconds since the epoch.
    func ended(_ report: RunReport, end: Completion.End, at now: UInt64) {
        let action = report.job?.action.name ?? "unknown"
        let outcome = end == .released ? "released" : end.state.rawValue
        let (counter, duration) = self.handles.withLock { handles in
            let key = action + " " + outcome
            let counter =
                handles.jobs[key]
                ?? Counter(
                    label: "orchestra_jobs_total", dimensions: [("action", action), ("outcome", outcome)],
                    factory: self.factory)
            handles.jobs[key] = counter
            let duration =
                handles.durations[action]
                ?? Recorder(
                    label: "orchestra_job_duration_seconds", dimensions: [("action", action)], factory: self.factory)
            handles.durations[action] = duration
            return (counter, duration)
        }
        counter.increment()
        duration.record(Double(now - min(now, report.startedAt)) / 1000)
        if report.submittedAt > 0 {
            self.wait.record(Double(report.startedAt - min(report.startedAt, report.submittedAt)) / 1000)
        }
        // A release and a postponement write no audit row.
        if end != .released, report.postponement == nil { self.auditRows.increment() }
        if case .retry = end { self.retries.increment() }
        if end == .unresolved { self.deadUnresolved.increment() }
        if end == .discarded {
            if case .refused = report.outcome { self.deadRefused.increment() } else { self.deadFailed.increment() }
        }
    }
}
