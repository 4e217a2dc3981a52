package import Domain

/// A queue, or a lane of it, as its nodes use it.
///
/// `RedisStreamJobQueue` is the one that nodes share. `InMemoryJobQueue`, in the tests, makes the same decisions within one
/// process.
package protocol JobQueue: JobStore {
    /// Registers an incarnation of a node. Returns what an earlier incarnation held; each of those jobs counts a crash. Of
    /// workspaces whose home is another node, the caller takes back what still runs and releases the rest.
    /// Throws `nameTaken` while another machine uses the name, `replaced` while a later incarnation does.
    func join(as node: NodeIdentity) async throws -> [Delivery]

    /// Claims entries, sharing the node between workspaces by their weights. The claim may be empty. When the reply was
    /// lost, `held` returns what was delivered. Throws `wrongFiles` when other nodes have changed whether all have the same
    /// files.
    func claim(_ request: ClaimRequest, as node: NodeIdentity) async throws -> Claim

    /// Returns what this incarnation holds. From then on claims with a number below `fence` are refused, so that a delayed
    /// claim which the caller abandoned delivers nothing. A `fence` of 0 changes nothing.
    func held(by node: NodeIdentity, fence: UInt64) async throws -> [Delivery]

    /// Renews the node's lease.
    func renew(as node: NodeIdentity) async throws -> Renewal

    /// Requeues at most `most` of the entries that a dead node held; returns their number. Does nothing while the lease of
    /// that node is valid.
    func rescue(_ dead: String, most: Int) async throws -> Int

    /// Makes at most `most` due jobs available; returns their number.
    func moveDue(most: Int) async throws -> Int

    /// Takes one step of comparing what is stored, to find waiting jobs whose entries were lost. One node takes the steps of
    /// a comparison; others get no next step meanwhile.
    func compare(as node: NodeIdentity) async throws -> QueueComparison

    /// Ends jobs as `lost` that `compare` returned, each with its audit event; returns how many. Does nothing for a job
    /// that has an entry again.
    func lose(_ jobs: [(job: LostJob, auditEvent: [UInt8])], reason: String) async throws -> Int

    /// Writes outcomes and audit events and acknowledges the entries, in one step. Returns for each job whether it was
    /// written. False means that this incarnation no longer holds the job, and nothing of it was written. A call that is
    /// repeated after a lost reply returns false for what was written before.
    func finish(_ completions: [Completion], as node: NodeIdentity) async throws -> [Bool]

    /// Stores the progress of a running job. Returns false when this incarnation does not hold it.
    func noteProgress(_ progress: SealedProgress, of job: JobID, as node: NodeIdentity) async throws -> Bool

    /// Removes the node at the end of a drain. Does nothing while it holds an entry.
    func leave(as node: NodeIdentity) async throws

    /// Returns where the first `listen` starts. With `before`, requests for cancellation since that position are
    /// returned too.
    func position(after before: QueuePosition?) async throws -> QueuePosition

    /// Waits until a workspace gets work or a running job is to be cancelled, at most `timeout`. Starts from `position` and
    /// advances it, so that nothing between two calls is missed. Returns the jobs to cancel, of all nodes.
    func listen(from position: inout QueuePosition, timeout: Duration) async throws -> [JobID]
}
