internal import Audit
package import Domain
package import Jobs
package import Logging
package import Policy

/// Processes a job on a node, from the entry to the completion: entry → job → decision → run → outcome → completion.
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
    private let openFailureLog = LogThrottle()
    private let keyLookups = KeyLookupBackoff()

    /// Takes the parts as given; checks nothing.
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

    /// Processes a delivery to its completion, and returns when the writer has taken over the completion. The slot of the
    /// delivery is released after the write. Never throws; each failure becomes an outcome.
    package func process(_ delivery: Delivery) async {
        var report = RunReport(delivery: delivery, startedAt: self.queueClock.now())
        do {
            // Entry → job: it must be authentic, belong to this workspace and be decodable. If not, it is a dead letter.
            let job = try await JobEnvelope.open(delivery, keys: self.keys)
            self.keyLookups.succeeded(delivery.workspace)
            report.job = job
            guard job.timeLeft(at: report.startedAt) > .zero else {
                report.refuse("the deadline passed before the job could run", rule: "deadline")
                return await self.complete(report)
            }
            // Decision: repeated after the one at submission, because an entry may be forged and rules may have changed.
            let (decision, action, params) = self.policy.decide(job.action, params: job.params)
            switch decision {
            case .deny(let denial): report.refuse(denial.reason, rule: denial.rule)
            case .allow(let rule):
                report.rule = rule
                // Intent: the claim itself recorded it in the node's running hash.
                if let action, let params { report.outcome = await self.run(delivery, job, action, params, &report) }
            }
        } catch let error as JobQueueError where error.code == .unreadable {
            report.refuse(error.message, rule: "entry")
        } catch is CancellationError {
            // The node stops: the job is released and another node runs it.
            report.outcome = .cancelled(.drain)
        } catch {
            // The key is unavailable: another attempt that does not count. Logged once a minute, because it affects all jobs.
            report.postponement = self.keyLookups.failed(delivery.workspace, at: self.queueClock.now())
            if let count = self.openFailureLog.note(at: self.queueClock.now()) {
                self.logger.error(
                    "a job cannot be opened; it is retried later", error: error,
                    metadata: ["job.id": "\(report.idText)", "failures.count": "\(count)"])
            }
        }
        await self.complete(report)
    }

    /// Runs the action, unless the crash limit, an effect that must not be repeated, or another home of the workspace forbids
    /// it. Sets the attempts of the report.
    private func run(
        _ delivery: Delivery, _ job: Job, _ action: ActionDefinition, _ params: JSONValue, _ report: inout RunReport
    ) async -> Outcome {
        report.maxAttempts = job.isRepeatable == false ? 1 : action.maxAttempts
        let isResumed = if delivery.isRecovered { await self.handlers.canResume(job.id) } else { false }
        guard isResumed || delivery.crashes < self.retries.crashLimit else {
            return .refused(
                reason: "the node died \(delivery.crashes) times during the job; it is kept as a dead letter")
        }
        let mayRepeat = action.mayRepeat(job)
        guard mayRepeat || delivery.crashes == 0 || isResumed else {
            return .mayHaveTakenEffect("the node died during the job (\(delivery.crashes) times)")
        }
        guard isResumed || !delivery.isElsewhere else {
            return .notStarted(reason: "another node is the home of its workspace", hasFiles: true)
        }
        if case .none = action.handler {
            return await self.handlers.run(job, action: action, params: params, isRecovered: false)
        }
        let run = JobRun(entry: delivery.entry, clock: self.clock)
        if let reason = await self.registry.register(run) { return .cancelled(reason) }
        let outcome = await run.run(timeout: min(action.timeout, job.timeLeft(at: self.queueClock.now()))) {
            await self.handlers.run(
                job, action: action, params: params, isRecovered: delivery.isRecovered, keep: { await run.keep($0) })
        }
        report.evidence = await run.evidence
        if action.effect == .external { return outcome.ofExternalEffect }
        if case .cancelled(.drain) = outcome, !mayRepeat, await run.hasStarted { return outcome.ofExternalEffect }
        return outcome
    }

    /// Hands the completion to the writer, which writes outcome, audit event and acknowledgment in one step if the node
    /// still has the lease. Releases the slot at once when the lease is lost.
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
                "an outcome was not written: another node holds the job",
                metadata: ["job.id": "\(report.idText)", "outcome": "\(report.outcome.name)"])
        }
    }

    /// Makes the completion; retries until the result is sealed, because without a completion the job would stay in the
    /// node's running hash. Returns nil only when the task is cancelled.
    private func sealedCompletion(_ report: RunReport, _ end: Completion.End) async -> Completion? {
        var hasLogged = false
        while true {
            do {
                return try await self.completion(report, end)
            } catch {
                if !hasLogged {
                    hasLogged = true
                    self.logger.error(
                        "an outcome cannot be sealed and is kept for another attempt", error: error,
                        metadata: ["job.id": "\(report.idText)"])
                }
                do { try await self.clock.sleep(for: .milliseconds(200)) } catch { return nil }
            }
        }
    }

    private func completion(_ report: RunReport, _ end: Completion.End) async throws -> Completion {
        let delivery = report.delivery
        var (sealed, sealedTerms) = ([UInt8](), [UInt8]())
        if let job = report.job, job.terms != JobTerms() {
            let key = try await self.keys.currentKey(of: delivery.workspace)
            sealedTerms = try JobEnvelope.seal(terms: job.terms, of: job, with: key)
        }
        if let detail = report.detail, !detail.isEmpty, let id = delivery.jobID {
            let key = try await self.keys.currentKey(of: delivery.workspace)
            sealed = try JobEnvelope.seal(result: detail, workspace: delivery.workspace, job: id, with: key)
        }
        let failures = delivery.failures + (report.isFailure ? 1 : 0)
        var leavesHome = false
        if end == .released, case .notStarted(_, let hasFiles) = report.outcome { leavesHome = !hasFiles }
        return Completion(
            delivery: delivery, end: end, action: report.job?.action.name ?? "", tags: report.job?.tags ?? [],
            runTime: report.runTime(until: self.queueClock.now()), failures: failures, crashes: delivery.crashes,
            reason: report.reason, sealedTerms: sealedTerms, sealedResult: sealed,
            auditEvent: try self.auditEvent(report, end), leavesHome: leavesHome)
    }

    /// The encoded audit event; empty for a release and for a job that could not be opened.
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

    /// Releases deliveries without a run and without counting an attempt. Does not wait for the write.
    package func release(_ deliveries: [Delivery]) async {
        for delivery in deliveries {
            self.writers.write(
                Completion(
                    delivery: delivery, end: .released, action: "", failures: delivery.failures,
                    crashes: delivery.crashes))
        }
    }
}
