internal import Audit
package import Domain
package import Jobs
package import Logging
package import Policy
internal import Synchronization

/// The whole flow of a job on a node: entry → job → decision → run → outcome → completion.
package struct JobPipeline: Sendable {
    package let node: NodeID
    package let policy: PolicyEngine
    package let handlers: ActionHandlers
    private let keys: WorkspaceKeyring
    private let digester: ParamsDigester
    package let writers: CompletionWriters
    package let registry: RunRegistry
    package let retries: RetryPolicy
    package let clock: any Clock<Duration>
    private let queueClock: QueueClock
    package let metrics: JobMetrics
    package let logger: Logger
    private let complaint = LogThrottle()
    private let keyLookups = KeyLookupBackoff()

    package init(
        node: NodeID, policy: PolicyEngine, handlers: ActionHandlers, keys: WorkspaceKeyring, digester: ParamsDigester,
        queueClock: QueueClock, writers: CompletionWriters, registry: RunRegistry, retries: RetryPolicy,
        clock: any Clock<Duration>, metrics: JobMetrics, logger: Logger
    ) {
        self.node = node
        self.policy = policy
        self.handlers = handlers
        self.keys = keys
        self.digester = digester
        self.writers = writers
        self.registry = registry
        self.retries = retries
        self.clock = clock
        self.queueClock = queueClock
        self.metrics = metrics
        self.logger = logger
    }

    /// Takes a delivery to its completion, which is in the writer's charge when this returns; the delivery's slot is
    /// free again once it is written.
    package func process(_ delivery: Delivery) async {
        var report = RunReport(delivery: delivery, startedAt: self.queueClock.now())
        do {
            // Entry → job: authentic, of this workspace, decodable; else a dead letter.
            let job = try await JobEnvelope.open(delivery, keys: self.keys)
            self.keyLookups.succeeded(delivery.workspace)
            report.job = job
            guard job.timeLeft(at: report.startedAt) > .zero else {
                report.refuse("its deadline had passed before it could run", rule: "deadline")
                return await self.complete(report)
            }
            // Decision: again, although the submitter decided too; an entry may have been forged or a rule changed.
            let (decision, action, params) = self.policy.decide(job.action, params: job.params)
            switch decision {
            case .deny(let denial): report.refuse(denial.reason, rule: denial.rule)
            case .allow(let rule):
                report.rule = rule
                // Intent: recorded by the claim itself, in the node's running hash with this lease's token.
                if let action, let params { report.outcome = await self.run(delivery, job, action, params, &report) }
            }
        } catch let error as JobQueueError where error.code == .unreadable {
            report.refuse(error.message, rule: "entry")
        } catch is CancellationError {
            // The node stops: the job is released and another node runs it.
            report.outcome = .cancelled(.drain)
        } catch {
            // The key is not available now: the job is retried, not counted. Logged once a minute, since every entry
            // fails alike.
            report.postponement = self.keyLookups.failed(delivery.workspace, at: self.queueClock.now())
            if self.complaint.isDue(at: self.queueClock.now()) {
                self.logger.error(
                    "jobs cannot be opened now and are tried again", error: error,
                    metadata: ["job.id": "\(report.idText)"])
            }
        }
        await self.complete(report)
    }

    private func run(
        _ delivery: Delivery, _ job: Job, _ action: ActionDefinition, _ params: JSONValue, _ report: inout RunReport
    ) async -> Outcome {
        report.maxAttempts = action.maxAttempts
        let isResumed = if delivery.isRecovered { await self.handlers.canResume(job.id) } else { false }
        guard isResumed || delivery.crashes < self.retries.crashLimit else {
            return .refused(reason: "its node died under it \(delivery.crashes) times; it is kept for a person")
        }
        let mayRepeat = action.mayRepeat(job)
        guard mayRepeat || delivery.crashes == 0 || isResumed else {
            return .unknown(
                reason:
                    "its node died while it ran (\(delivery.crashes) times): it may have taken effect; check, then decide with: orchestra jobs resolve"
            )
        }
        if case .none = action.handler {
            return await self.handlers.run(job, action: action, params: params, isRecovered: false)
        }
        let run = JobRun(entry: delivery.entry, clock: self.clock)
        if let reason = await self.registry.register(run) { return .cancelled(reason) }
        let outcome = await run.run(timeout: min(action.timeout, job.timeLeft(at: self.queueClock.now()))) {
            await self.handlers.run(job, action: action, params: params, isRecovered: delivery.isRecovered)
        }
        if action.effect == .external { return outcome.ofExternalEffect }
        if case .cancelled(.drain) = outcome, !mayRepeat, await run.hasStarted { return outcome.ofExternalEffect }
        return outcome
    }

    /// Writes outcome, audit event and acknowledgement in one step, if the lease is still ours.
    private func complete(_ report: RunReport) async {
        let end = self.retries.end(of: report)
        guard report.outcome != .cancelled(.leaseLost), let completion = await self.sealedCompletion(report, end) else {
            return await self.registry.release([report.delivery.entry])
        }
        let (metrics, logger, queueClock) = (self.metrics, self.logger, self.queueClock)
        // The writer frees the slot.
        self.writers.write(completion) { isWritten in
            guard !isWritten else { return metrics.ended(report, end: end, at: queueClock.now()) }
            logger.warning(
                "an outcome was not written: the job is another node's now",
                metadata: ["job.id": "\(report.idText)", "outcome": "\(report.outcome.name)"])
        }
    }

    /// Tries until the result is sealed, since without its completion a job would stay held by nobody; nil only
    /// when the node is ending.
    private func sealedCompletion(_ report: RunReport, _ end: Completion.End) async -> Completion? {
        var hasComplained = false
        while true {
            do {
                return try await self.completion(report, end)
            } catch {
                if !hasComplained {
                    hasComplained = true
                    self.logger.error(
                        "an outcome cannot be sealed now and is kept", error: error,
                        metadata: ["job.id": "\(report.idText)"])
                }
                do { try await self.clock.sleep(for: .milliseconds(200)) } catch { return nil }
            }
        }
    }

    private func completion(_ report: RunReport, _ end: Completion.End) async throws -> Completion {
        let delivery = report.delivery
        var sealed: [UInt8] = []
        if let detail = report.detail, !detail.isEmpty, let id = delivery.jobID {
            let key = try await self.keys.currentKey(of: delivery.workspace)
            sealed = try JobEnvelope.seal(result: detail, workspace: delivery.workspace, job: id, with: key)
        }
        let failures = delivery.failures + (report.isFailure ? 1 : 0)
        return Completion(
            delivery: delivery, end: end, action: report.job?.action.name ?? "", tags: report.job?.tags ?? [],
            runTime: report.runTime(until: self.queueClock.now()), failures: failures, crashes: delivery.crashes,
            reason: report.reason, sealedResult: sealed, auditEvent: try self.auditEvent(report, end))
    }

    private func auditEvent(_ report: RunReport, _ end: Completion.End) throws -> [UInt8] {
        let kind: AuditEvent.Kind
        switch end {
        case .completed, .cancelled, .discarded, .unresolved: kind = .outcome
        case .retry, .released: kind = .attempt
        }
        if case .released = end { return [] }
        if report.postponement != nil { return [] }
        let now = self.queueClock.now()
        return AuditEvent(
            kind: kind, workspace: report.delivery.workspace, actor: report.job?.actor ?? "",
            action: report.job?.action.name ?? "", jobID: report.delivery.jobID, status: end.state.rawValue,
            rule: report.rule,
            duration: report.runTime(until: now), errorReason: report.reason,
            paramsDigest: try report.job.map { try self.digester.digest($0.params) } ?? [], node: self.node.name,
            time: now
        ).encoded
    }
}

extension Job {
    /// How long it is still worth running; zero or less when its deadline has passed.
    fileprivate func timeLeft(at now: UInt64) -> Duration {
        guard let deadline = self.deadline else { return .seconds(366 * 86_400) }
        return .milliseconds(Int64(clamping: deadline) - Int64(clamping: now))
    }
}

extension Outcome {
    /// What was cut off in the middle of an effect outside must not be tried again by itself.
    fileprivate var ofExternalEffect: Outcome {
        switch self {
        case .cancelled(.timeout):
            .unknown(
                reason: "its time was up: it may have taken effect; check, then decide with: orchestra jobs resolve")
        case .cancelled(.drain):
            .unknown(
                reason:
                    "its node was stopped while it ran: it may have taken effect; check, then decide with: orchestra jobs resolve"
            )
        case .failed(let failure) where failure.isCutOff:
            .unknown(
                reason: "\(failure.reason): it may have taken effect; check, then decide with: orchestra jobs resolve")
        case .completed, .failed, .refused, .unknown, .cancelled: self
        }
    }
}

/// What is said at most once a minute.
private final class LogThrottle: Sendable {
    private let last = Atomic<UInt64>(0)

    func isDue(at now: UInt64) -> Bool {
        let last = self.last.load(ordering: .relaxed)
        guard last == 0 || now > last + 60_000 || now < last else { return false }
        return self.last.compareExchange(expected: last, desired: max(1, now), ordering: .relaxed).exchanged
    }
}
