package import Domain

/// The queue of jobs as submitters and people see it. Each call is one atomic step.
///
/// All calls throw `JobQueueError`, or `CancellationError`. After `unavailable` it is unknown whether the step was taken;
/// each may be taken again without doubling anything, as its own text says.
package protocol JobStore: Sendable {
    var limits: QueueLimits { get }

    // MARK: Submitting

    /// Stores jobs, each with its idempotency record, its job record, its sealed entry and its audit event; a result
    /// for each, in order. Sent again, the same request ids are answered as duplicates.
    func submit(_ submissions: [SealedSubmission]) async throws -> [SubmissionResult]

    /// Stores an audit event that belongs to no job, such as a denial; nil is for one of nobody's workspace.
    func appendAudit(_ event: [UInt8], of workspace: WorkspaceID?) async throws

    /// The queue's clock in milliseconds since the epoch; all nodes share it.
    func time() async throws -> UInt64

    /// The time of a schedule's last tick that became a job; the queue's time now for one that it did not know, whose
    /// ticks begin with this.
    func lastTick(of schedule: ScheduleTick) async throws -> UInt64

    // MARK: Keys

    /// A workspace's wrapped key, nil when there is none of this id.
    func wrappedKey(_ id: UInt32, of workspace: WorkspaceID) async throws -> [UInt8]?

    /// Stores a workspace's wrapped key unless there is one of this id.
    func storeKey(_ wrapped: [UInt8], id: UInt32, of workspace: WorkspaceID) async throws

    /// The fingerprint of the master key that first used this queue: `own` when nobody did before.
    func masterFingerprint(own: [UInt8]) async throws -> [UInt8]

    // MARK: Reading

    /// The record of a job of this workspace, nil when there is none or it has passed its retention.
    func job(_ id: JobID, in workspace: WorkspaceID) async throws -> JobRecord?

    /// The newest jobs of a workspace, or those with a tag; with `after` those that are older than that one, none when
    /// it is not known any more. Without their results.
    func jobs(in workspace: WorkspaceID, limit: Int, tag: JobTag?, after: JobID?) async throws -> [JobRecord]

    /// Events of a workspace's audit trail, the newest first, from before a cursor of an earlier page. A page may be
    /// short, and even empty, where others' events lie between.
    func auditTrail(of workspace: WorkspaceID, before cursor: String?, limit: Int) async throws -> AuditPage

    /// Waits at most `timeout` for the end of a job; the state that it has then, nil when there is no such job.
    func waitForEnd(of id: JobID, in workspace: WorkspaceID, timeout: Duration) async throws -> JobState?

    /// Depth and age of the queue, for metrics.
    func statistics() async throws -> QueueStatistics

    // MARK: Intervening

    /// Cancels a job wherever it is: a queued one ends here and now, of a running one its node is told. Returns the
    /// state it was in, nil when there is no such job; a final state means that nothing was done. `request` is
    /// stored at once, `outcome` with the end.
    func cancel(
        _ id: JobID, in workspace: WorkspaceID, request: [UInt8], outcome: [UInt8]
    ) async throws -> JobState?

    /// The newest dead letters of a workspace, those that wait for a decision among them, without their outputs.
    func deadLetters(in workspace: WorkspaceID, limit: Int) async throws -> [DeadLetter]

    /// The dead letter of a job with its output, nil when there is none.
    func deadLetter(_ id: JobID, in workspace: WorkspaceID) async throws -> DeadLetter?

    /// Puts a dead letter back in line, its failures and crashes forgotten.
    func requeue(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> DeadLetterResult

    /// Lets go of a dead letter. Its record stays as long as any.
    func drop(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> DeadLetterResult

    /// A person's word on a job whose outcome is unknown; false when none of this id waits for one.
    func resolve(
        _ id: JobID, in workspace: WorkspaceID, as resolution: Resolution, reason: String, auditEvent: [UInt8]
    ) async throws -> Bool

    /// Sets a workspace's weight and limits for all nodes; nil takes them away.
    func setLimits(_ limits: WorkspaceLimits?, of workspace: WorkspaceID, auditEvent: [UInt8]) async throws

    /// Takes no more jobs of the workspace, and starts none of those it has, until it is called with nil: an incident
    /// that a person has to look at. True when that changed anything.
    func quarantine(
        _ workspace: WorkspaceID, reason: String?, auditEvent: [UInt8]
    ) async throws -> Bool

    /// The workspaces in quarantine, with the reasons.
    func quarantined() async throws -> [Quarantine]

    /// The workspaces that have a weight or limits of their own.
    func workspaceLimits() async throws -> [WorkspaceLoad]

}

/// A queue, or a lane of it, as its nodes see it.
///
/// `RedisStreamJobQueue` is the one that nodes share; `InMemoryJobQueue` decides alike within a process.
package protocol JobQueue: JobStore {
    /// Takes the node's name and returns what its earlier life held; each of those counts as a crash. Throws
    /// `nameTaken` while another machine holds the name, `replaced` while a later incarnation does.
    func join(as node: NodeIdentity) async throws -> [Delivery]

    /// Takes entries in the workspaces' turn; none is fine. After a lost answer `held` tells what was given.
    func claim(_ request: ClaimRequest, as node: NodeIdentity) async throws -> Claim

    /// What this incarnation holds. Claims with a number below `fence` are refused from then on, so that one whose
    /// caller gave it up takes nothing when it comes late; 0 changes nothing.
    func held(by node: NodeIdentity, fence: UInt64) async throws -> [Delivery]

    /// Keeps the node's lease for another term.
    func renew(as node: NodeIdentity) async throws -> Renewal

    /// Puts what a dead node held back in line, at most `most`; how many. A node whose lease is not over is left alone.
    func rescue(_ dead: String, most: Int) async throws -> Int

    /// Puts jobs whose time has come in line, at most `most`; how many.
    func moveDue(most: Int) async throws -> Int

    /// Writes outcomes, audit events and acknowledgements together; for each job whether it was written. False means
    /// that the job is no longer this incarnation's: nothing of it was written. Sent again after a lost answer it says
    /// false for what had been written.
    func finish(_ completions: [Completion], as node: NodeIdentity) async throws -> [Bool]

    /// Notes how far a running job is; false when it is not this incarnation's.
    func noteProgress(_ progress: JobProgress, of job: JobID, as node: NodeIdentity) async throws -> Bool

    /// Gives the name up at the end of a drain; nothing happens while something is held.
    func leave(as node: NodeIdentity) async throws

    /// Where the bell and the wishes stand now; the first `listen` starts there. What was said in `before` and later is
    /// heard.
    func position(after before: QueuePosition?) async throws -> QueuePosition

    /// Sleeps until some workspace gets work or somebody wants something of the nodes, at most `timeout`. `position` is
    /// where the last call ended; what came since is not missed. Returns the jobs that are to be cancelled, whoever
    /// runs them.
    func listen(from position: inout QueuePosition, timeout: Duration) async throws -> [JobID]
}

extension JobStore {
    package func jobs(in workspace: WorkspaceID, limit: Int, tag: JobTag?) async throws -> [JobRecord] {
        try await self.jobs(in: workspace, limit: limit, tag: tag, after: nil)
    }

    /// Seals and stores jobs under their workspaces' keys.
    package func submit(_ submissions: [Submission], keys: WorkspaceKeyring) async throws -> [SubmissionResult] {
        var results = try await self.submit(try await Self.sealed(submissions, keys))
        let stale = results.indices.filter { results[$0] == .staleKey }
        guard !stale.isEmpty else { return results }
        for index in stale { keys.forget(submissions[index].job.workspace) }
        let again = try await self.submit(try await Self.sealed(stale.map { submissions[$0] }, keys))
        for (index, result) in zip(stale, again) {
            guard result != .staleKey else {
                throw JobQueueError(
                    code: .unavailable, message: "the keys of the queue changed twice in a row; try again")
            }
            results[index] = result
        }
        return results
    }

    private static func sealed(
        _ submissions: [Submission], _ keys: WorkspaceKeyring
    ) async throws -> [SealedSubmission] {
        var sealed: [SealedSubmission] = []
        sealed.reserveCapacity(submissions.count)
        for submission in submissions {
            sealed.append(try submission.sealed(with: try await keys.currentKey(of: submission.job.workspace)))
        }
        return sealed
    }
}

/// Who calls from the nodes' side. One incarnation holds a node's name; a call of an older one is refused with
/// `JobQueueError.replaced`, and what it reports of its jobs is not written.
package struct NodeIdentity: Hashable, Sendable {
    package let node: NodeID
    package let incarnation: Incarnation
    /// What tells two machines with one node name apart.
    package let owner: String

    package init(node: NodeID, incarnation: Incarnation, owner: String) {
        self.node = node
        self.incarnation = incarnation
        self.owner = owner
    }
}

/// What a node has room for.
package struct ClaimRequest: Sendable {
    /// Entries at most.
    package var most: Int
    /// Entries that one turn of a workspace of weight 1 is worth.
    package var quantum: Int
    /// Entries of one workspace that this node holds at most.
    package var share: Int
    /// What it holds of each now.
    package var held: [WorkspaceID: Int]
    /// Rises with each claim of an incarnation.
    package var number: UInt64

    package init(
        most: Int, quantum: Int = 32, share: Int = 1_000_000, held: [WorkspaceID: Int] = [:], number: UInt64 = 0
    ) {
        self.number = number
        self.most = most
        self.quantum = quantum
        self.share = min(share, 1_000_000)
        self.held = held
    }

    /// A fair quantum for so many free slots: small enough that several workspaces get some of them.
    package static func quantum(for free: Int) -> Int { max(1, min(32, free / 4)) }
}

/// What a claim brought.
package struct Claim: Sendable {
    package let deliveries: [Delivery]
    /// Cancelled entries that it found and let go of.
    package let dropped: Int
    /// Entries of jobs that had ended before: somebody put them there, and they were removed unrun.
    package let refused: Int
    /// Workspaces stand in line yet, for other slots or other nodes. When none does, the bell will tell.
    package let hasMore: Bool
}

/// What a renewal tells.
package struct Renewal: Hashable, Sendable {
    /// The names of nodes whose lease is over.
    package let dead: [String]
    /// Jobs of this node that somebody wants cancelled.
    package let cancelled: [JobID]
    /// Leases that it has.
    package let held: Int
}

/// Where a node has heard up to, in each of the streams that it listens to.
package struct QueuePosition: Hashable, Sendable {
    var bell: EntryID
    var control: EntryID
}
