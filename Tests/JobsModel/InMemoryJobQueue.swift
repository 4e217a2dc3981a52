package import Domain
@testable package import Jobs

/// A job queue within one process: an actor around `QueueMachine`. It loses all jobs when the process ends, so it is for
/// tests only.
package actor InMemoryJobQueue: JobQueue {
    package nonisolated let limits: QueueLimits
    private var machine: QueueMachine
    private let now: @Sendable () -> UInt64
    private let clock: any Clock<Duration>
    private var keys: [String: [UInt8]] = [:]
    private var fingerprint: [UInt8]?
    /// Calls that wait for a change.
    private var waiters: [Int: AsyncStream<Void>.Continuation] = [:]
    private var nextWaiter = 0
    private var faults: [Call: [Fault]] = [:]
    private var counts: [Call: Int] = [:]

    /// Creates an empty queue. `now` returns milliseconds since the epoch; `clock` measures how long calls wait.
    package init(
        limits: QueueLimits, now: @escaping @Sendable () -> UInt64, clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.limits = limits
        self.machine = QueueMachine(limits: limits)
        self.now = now
        self.clock = clock
    }

    /// Removes everything, as when Redis is emptied.
    package func empty() {
        self.machine = QueueMachine(limits: self.limits)
        self.keys = [:]
        self.fingerprint = nil
    }

    /// The audit trail so far.
    package var audit: [[UInt8]] { self.machine.audit }

    // MARK: - Faults

    /// A call that a test counts, or lets fail.
    package enum Call: Hashable, Sendable {
        case submit, appendAudit, time, wrappedKey, quarantine, claim, renew, moveDue, finish
    }

    private struct Fault {
        let error: any Error
        /// The call has its effect, and only its answer is lost.
        let losesAnswer: Bool
    }

    /// Lets the next such call that no earlier fault is for throw `error`, either before it has any effect or after.
    package func fail(_ call: Call, with error: any Error, losesAnswer: Bool = false) {
        self.faults[call, default: []].append(Fault(error: error, losesAnswer: losesAnswer))
    }

    /// How often a call was made, failed ones included.
    package func count(of call: Call) -> Int { self.counts[call] ?? 0 }

    private func perform<Answer>(_ call: Call, _ body: () throws -> Answer) throws -> Answer {
        self.counts[call, default: 0] += 1
        guard self.faults[call]?.isEmpty == false, let fault = self.faults[call]?.removeFirst() else {
            return try body()
        }
        if fault.losesAnswer { _ = try body() }
        throw fault.error
    }

    // MARK: - Submitting

    package func submit(_ submissions: [SealedSubmission]) throws -> [SubmissionResult] {
        defer { self.notifyWaiters() }
        return try self.perform(.submit) {
            let current = submissions.filter(self.hasSealingKey)
            var results = self.machine.submit(current, at: self.now())[...]
            guard current.count < submissions.count else { return Array(results) }
            return submissions.map { self.hasSealingKey($0) ? results.popFirst() ?? .full : .staleKey }
        }
    }

    private func hasSealingKey(_ submission: SealedSubmission) -> Bool {
        let stored = self.keys["\(submission.workspace)/\(submission.keyID)"] ?? []
        return submission.keyStamp.isEmpty || stored.starts(with: submission.keyStamp)
    }

    package func appendAudit(_ event: [UInt8], of workspace: WorkspaceID?) throws {
        try self.perform(.appendAudit) { self.machine.appendAudit(event, of: workspace) }
    }

    package func time() throws -> UInt64 { try self.perform(.time) { self.now() } }

    package func lastTick(of schedule: ScheduleTick) -> UInt64 { self.machine.lastTick(of: schedule, at: self.now()) }

    // MARK: - Keys

    package func wrappedKey(_ id: UInt32, of workspace: WorkspaceID) throws -> [UInt8]? {
        try self.perform(.wrappedKey) { self.keys["\(workspace)/\(id)"] }
    }

    package func storeKey(_ wrapped: [UInt8], id: UInt32, of workspace: WorkspaceID) {
        self.keys["\(workspace)/\(id)"] = self.keys["\(workspace)/\(id)"] ?? wrapped
    }

    package func masterFingerprint(own: [UInt8]) -> [UInt8] {
        self.fingerprint = self.fingerprint ?? own
        return self.fingerprint ?? own
    }

    // MARK: - Reading

    package func job(_ id: JobID, in workspace: WorkspaceID) -> JobRecord? { self.machine.job(id, in: workspace) }

    package func jobs(in workspace: WorkspaceID, limit: Int, tag: JobTag?, after: JobID?) -> [JobRecord] {
        self.machine.jobs(in: workspace, limit: limit, tag: tag, after: after)
    }

    package func running(in workspace: WorkspaceID) -> [JobID] { self.machine.running(in: workspace) }

    package func auditTrail(of workspace: WorkspaceID?, before cursor: String?, limit: Int) -> AuditPage {
        let end = cursor.flatMap { Int($0) } ?? self.machine.auditRows.count
        let found = self.machine.auditRows.enumerated().prefix(end).reversed().filter {
            $0.element.workspace == workspace
        }
        return AuditPage(
            events: found.prefix(limit).map(\.element.event),
            next: found.count < limit ? nil : found.prefix(limit).last.map { String($0.offset) })
    }

    package func waitForEnd(of id: JobID, in workspace: WorkspaceID, timeout: Duration) async throws -> JobState? {
        let deadline = self.now() + UInt64(clamping: timeout.milliseconds)
        while true {
            guard let state = self.machine.record(id, in: workspace)?.state else { return nil }
            let now = self.now()
            if state.isFinal || now >= deadline { return state }
            try await self.waitForChange(atMost: .milliseconds(deadline - now))
        }
    }

    package func statistics() -> QueueStatistics { self.machine.statistics(at: self.now()) }

    // MARK: - Intervening

    package func cancel(
        _ id: JobID, in workspace: WorkspaceID, request: [UInt8], outcome: [UInt8]
    ) -> JobState? {
        defer { self.notifyWaiters() }
        return self.machine.cancel(id, in: workspace, request: request, outcome: outcome, at: self.now())
    }

    package func deadLetters(in workspace: WorkspaceID, limit: Int) -> [DeadLetter] {
        self.machine.deadLetters(in: workspace, limit: limit)
    }

    package func deadLetter(_ id: JobID, in workspace: WorkspaceID) -> DeadLetter? {
        self.machine.deadLetter(id, in: workspace)
    }

    package func requeue(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) -> DeadLetterResult {
        defer { self.notifyWaiters() }
        return self.machine.requeue(id, in: workspace, auditEvent: auditEvent, at: self.now())
    }

    package func drop(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) -> DeadLetterResult {
        self.machine.drop(id, in: workspace, auditEvent: auditEvent)
    }

    package func resolve(
        _ id: JobID, in workspace: WorkspaceID, as resolution: Resolution, reason: String, auditEvent: [UInt8]
    ) -> Bool {
        defer { self.notifyWaiters() }
        return self.machine.resolve(
            id, in: workspace, as: resolution, reason: reason, auditEvent: auditEvent, at: self.now())
    }

    package func setLimits(_ limits: WorkspaceLimits?, of workspace: WorkspaceID, auditEvent: [UInt8]) {
        defer { self.notifyWaiters() }
        self.machine.setLimits(limits, of: workspace, auditEvent: auditEvent)
    }

    package func quarantine(_ workspace: WorkspaceID, reason: String?, auditEvent: [UInt8]) throws -> Bool {
        defer { self.notifyWaiters() }
        return try self.perform(.quarantine) {
            self.machine.quarantine(workspace, reason: reason, auditEvent: auditEvent)
        }
    }

    package func quarantined() -> [Quarantine] { self.machine.quarantined }

    package func setHome(_ node: NodeID?, of workspace: WorkspaceID, auditEvent: [UInt8]) throws -> HomeChange {
        defer { self.notifyWaiters() }
        return try self.machine.setHome(node, of: workspace, auditEvent: auditEvent, at: self.now())
    }

    package func homes() -> [WorkspaceHome] { self.machine.workspaceHomes }

    package func workspaceLimits() -> [WorkspaceLoad] { self.machine.loads }

    // MARK: - Nodes

    package func join(as node: NodeIdentity) throws -> [Delivery] { try self.machine.join(as: node, at: self.now()) }

    package func claim(_ request: ClaimRequest, as node: NodeIdentity) throws -> Claim {
        try self.perform(.claim) { try self.machine.claim(request, as: node, at: self.now()) }
    }

    package func held(by node: NodeIdentity, fence: UInt64) throws -> [Delivery] {
        try self.machine.held(by: node, fence: fence, at: self.now())
    }

    package func renew(as node: NodeIdentity) throws -> Renewal {
        try self.perform(.renew) { try self.machine.renew(as: node, at: self.now()) }
    }

    package func rescue(_ dead: String, most: Int) -> Int {
        defer { self.notifyWaiters() }
        return self.machine.rescue(dead, most: most, at: self.now())
    }

    package func moveDue(most: Int) throws -> Int {
        defer { self.notifyWaiters() }
        return try self.perform(.moveDue) { self.machine.moveDue(most: most, at: self.now()) }
    }

    /// Finds all lost jobs in one step.
    package func compare(as node: NodeIdentity) -> QueueComparison {
        let lost = self.machine.lostJobs
        return QueueComparison(
            missing: lost.count, hasNextStep: false, auditEntries: self.machine.auditRows.count, lost: lost)
    }

    package func lose(_ jobs: [(job: LostJob, auditEvent: [UInt8])], reason: String) -> Int {
        defer { self.notifyWaiters() }
        return self.machine.lose(jobs, reason: reason, at: self.now())
    }

    /// Loses the member of a delayed job, as when Redis lost a part of its set.
    package func loseDelayed(_ job: JobID) { self.machine.loseDelayed(job) }

    package func finish(_ completions: [Completion], as node: NodeIdentity) throws -> [Bool] {
        defer { self.notifyWaiters() }
        return try self.perform(.finish) { self.machine.finish(completions, as: node, at: self.now()) }
    }

    package func noteProgress(_ progress: SealedProgress, of job: JobID, as node: NodeIdentity) -> Bool {
        self.machine.noteProgress(progress, of: job, as: node, at: self.now())
    }

    package func leave(as node: NodeIdentity) { self.machine.leave(as: node, at: self.now()) }

    package func position(after before: QueuePosition?) -> QueuePosition {
        QueuePosition(
            wakeUp: EntryID(milliseconds: self.machine.wakeUps, sequence: 0),
            control: before?.control ?? EntryID(milliseconds: UInt64(self.machine.control.count), sequence: 0))
    }

    package func listen(from position: inout QueuePosition, timeout: Duration) async throws -> [JobID] {
        let deadline = self.now() + UInt64(clamping: timeout.milliseconds)
        while true {
            let requests = self.machine.control.dropFirst(Int(clamping: position.control.milliseconds))
            let now = self.now()
            guard requests.isEmpty, self.machine.wakeUps == position.wakeUp.milliseconds, now < deadline else {
                position.wakeUp = EntryID(milliseconds: self.machine.wakeUps, sequence: 0)
                position.control = EntryID(milliseconds: UInt64(self.machine.control.count), sequence: 0)
                return Array(requests)
            }
            try await self.waitForChange(atMost: .milliseconds(deadline - now))
        }
    }

    // MARK: - Waiting

    /// Wakes the calls that wait for a change.
    private func notifyWaiters() { for waiter in self.waiters.values { waiter.yield() } }

    private func waitForChange(atMost limit: Duration) async throws {
        let (changes, waiter) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let number = self.nextWaiter
        self.nextWaiter += 1
        self.waiters[number] = waiter
        defer { self.waiters[number] = nil }
        let clock = self.clock
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in changes { return } }
            group.addTask { try await clock.sleep(for: limit) }
            defer { group.cancelAll() }
            try await group.next()
        }
        try Task.checkCancellation()
    }
}
