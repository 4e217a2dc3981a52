internal import Audit
internal import Domain
package import Jobs
package import Logging

/// Finds what one lane of Redis lost, by comparing what is stored: says once how much, and ends jobs as `lost` that wait for
/// an entry or a time that is gone. Any node may take any step, so no leader is needed.
package actor LossCheck {
    private let lease: NodeLease
    private let queueClock: QueueClock
    private let metrics: JobMetrics
    private let logger: Logger
    /// The number of audit entries at the last answer.
    private var auditEntries = 0
    /// Jobs that this node ended in the current comparison.
    private var ended = 0
    private let failureLog = LogThrottle()

    /// The interval of asking. Redis compares every 30 s, whichever node asks.
    static let interval = Duration.seconds(10)
    private static let stepInterval = Duration.milliseconds(20)
    private static let reason = "Redis lost its entry; submit the job again"

    /// Takes the parts as given; compares nothing before `run`.
    package init(lease: NodeLease, queueClock: QueueClock, metrics: JobMetrics, logger: Logger) {
        self.lease = lease
        self.queueClock = queueClock
        self.metrics = metrics
        self.logger = logger
    }

    /// Runs until the task is cancelled; throws `CancellationError` then. A comparison that fails is logged, once a minute, and
    /// tried again: no job depends on it.
    package func run(clock: any Clock<Duration>, heartbeat: @Sendable () -> Void) async throws {
        while true {
            heartbeat()
            var hasNextStep = false
            do { hasNextStep = try await self.takeStep() } catch let error as JobQueueError {
                // The link child reports an outage.
                if !error.isTransient, self.failureLog.note(at: self.queueClock.now()) != nil {
                    self.logger.error("what Redis stores could not be compared", error: error)
                }
            }
            try await clock.sleep(for: hasNextStep ? Self.stepInterval : Self.interval)
        }
    }

    private func takeStep() async throws -> Bool {
        let comparison = try await self.lease.queue.compare(as: self.lease.identity)
        let lane = "\(self.lease.lane.number)"
        if comparison.auditEntries < self.auditEntries {
            self.logger.error(
                "Redis was emptied or went back to an earlier state: jobs and audit entries are gone",
                metadata: [
                    "audit.entries.before": "\(self.auditEntries)", "audit.entries": "\(comparison.auditEntries)",
                    "lane": "\(lane)",
                ])
        }
        self.auditEntries = comparison.auditEntries
        if comparison.missing > 0 {
            self.logger.error(
                "Redis lost entries of waiting jobs, or delayed jobs; looking for them",
                metadata: ["entries.count": "\(comparison.missing)", "lane": "\(lane)"])
        }
        if !comparison.lost.isEmpty {
            let count = try await self.lease.queue.lose(
                comparison.lost.map { ($0, self.auditEvent($0)) }, reason: Self.reason)
            self.ended += count
            self.metrics.lost(count)
        }
        if !comparison.hasNextStep, self.ended > 0 {
            self.logger.error(
                "jobs that Redis lost have ended", metadata: ["jobs.count": "\(self.ended)", "lane": "\(lane)"])
            self.ended = 0
        }
        return comparison.hasNextStep
    }

    private func auditEvent(_ job: LostJob) -> [UInt8] {
        AuditEvent(
            kind: .outcome, workspace: job.workspace, actor: "", action: job.action, jobID: job.id,
            status: JobState.lost.rawValue, rule: "none", duration: .zero, errorReason: Self.reason, paramsDigest: [],
            node: self.lease.identity.node.name, time: self.queueClock.now()
        ).encoded
    }
}
