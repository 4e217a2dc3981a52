package import Domain

/// The queue as submitters and people use it. Each call is one atomic step.
///
/// All calls throw `JobQueueError` or `CancellationError`. After `unavailable` it is unknown whether the step was
/// executed. Each call may be repeated: its documentation says what the repetition returns.
package protocol JobStore: Sendable {
    var limits: QueueLimits { get }

    // MARK: Submitting

    /// Stores jobs, each with its request ID, record, sealed entry and audit event. Returns one result per job, in order.
    /// When a call is repeated, requests that were stored are returned as duplicates.
    func submit(_ submissions: [SealedSubmission]) async throws -> [SubmissionResult]

    /// Stores an audit event that belongs to no job, such as a denial. `workspace` is nil when the request could not be
    /// attributed to one. A repeated call stores the event twice.
    func appendAudit(_ event: [UInt8], of workspace: WorkspaceID?) async throws

    /// Returns the queue's time in milliseconds since the epoch; all nodes share this clock.
    func time() async throws -> UInt64

    /// Returns the time of the last tick of a schedule that became a job. For a new schedule this is the queue's time now,
    /// and its ticks start from there.
    func lastTick(of schedule: ScheduleTick) async throws -> UInt64

    // MARK: Keys

    /// Returns a wrapped workspace key, nil when there is none with this ID.
    func wrappedKey(_ id: UInt32, of workspace: WorkspaceID) async throws -> [UInt8]?

    /// Stores a wrapped workspace key unless there is one with this ID.
    func storeKey(_ wrapped: [UInt8], id: UInt32, of workspace: WorkspaceID) async throws

    /// Returns the fingerprint of the master key that first used this queue, and stores `own` when there is none.
    func masterFingerprint(own: [UInt8]) async throws -> [UInt8]

    // MARK: Reading

    /// Returns a job of this workspace, nil when there is none or its retention has passed.
    func job(_ id: JobID, in workspace: WorkspaceID) async throws -> JobRecord?

    /// Returns the newest jobs of a workspace, or those with a tag, without their results. With `after` they start with
    /// the next older job; the list is empty when that job is not listed any more.
    func jobs(in workspace: WorkspaceID, limit: Int, tag: JobTag?, after: JobID?) async throws -> [JobRecord]

    /// Returns the jobs of a workspace that nodes hold, however old they are.
    func running(in workspace: WorkspaceID) async throws -> [JobID]

    /// Returns events of a workspace's audit trail, newest first, from before the cursor of an earlier page; of events
    /// without a workspace when it is nil. What other workspaces wrote does not change the cost of a page.
    func auditTrail(of workspace: WorkspaceID?, before cursor: String?, limit: Int) async throws -> AuditPage

    /// Waits at most `timeout` for the end of a job. Returns its state then, nil when there is no such job.
    func waitForEnd(of id: JobID, in workspace: WorkspaceID, timeout: Duration) async throws -> JobState?

    /// Returns depth, age and counters of the queue, for metrics.
    func statistics() async throws -> QueueStatistics

    // MARK: Intervening

    /// Cancels a job. A waiting job ends in this call; for a running job its node is notified. Returns the state before,
    /// nil when there is no such job; a final state means that nothing was done. `request` is stored at once, `outcome`
    /// when the job ends.
    func cancel(
        _ id: JobID, in workspace: WorkspaceID, request: [UInt8], outcome: [UInt8]
    ) async throws -> JobState?

    /// Returns the newest dead letters of a workspace, unresolved ones included, without their outputs.
    func deadLetters(in workspace: WorkspaceID, limit: Int) async throws -> [DeadLetter]

    /// Returns the dead letter of a job with its output, nil when there is none.
    func deadLetter(_ id: JobID, in workspace: WorkspaceID) async throws -> DeadLetter?

    /// Requeues the job of a dead letter and resets its failures and crashes.
    func requeue(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> DeadLetterResult

    /// Removes a dead letter. The record of its job stays for its retention.
    func drop(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> DeadLetterResult

    /// Records a person's decision on an unresolved job. Returns false when there is no such unresolved job.
    func resolve(
        _ id: JobID, in workspace: WorkspaceID, as resolution: Resolution, reason: String, auditEvent: [UInt8]
    ) async throws -> Bool

    /// Sets a workspace's weight and limits for all nodes; nil removes them.
    func setLimits(_ limits: WorkspaceLimits?, of workspace: WorkspaceID, auditEvent: [UInt8]) async throws

    /// Puts a workspace into quarantine, with a reason, or releases it, with nil. In quarantine it accepts no jobs and
    /// starts none. Returns true when the workspace entered or left quarantine.
    func quarantine(
        _ workspace: WorkspaceID, reason: String?, auditEvent: [UInt8]
    ) async throws -> Bool

    /// Returns the workspaces in quarantine, by name.
    func quarantined() async throws -> [Quarantine]

    /// Makes a node the home of a workspace, or ends its home with nil: the next node that claims becomes its home. Jobs
    /// that run go on where they are, later ones run on the new home. Throws `wrongFiles` where all nodes have the same
    /// files.
    func setHome(_ node: NodeID?, of workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> HomeChange

    /// Returns the workspaces that have or had a home, by name.
    func homes() async throws -> [WorkspaceHome]

    /// Returns the workspaces that have a weight or limits of their own, by name.
    func workspaceLimits() async throws -> [WorkspaceLoad]
}
