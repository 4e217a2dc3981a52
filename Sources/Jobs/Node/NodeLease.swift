package import Domain

/// One node's access to the queue or to one lane of it: joins under a name, claims entries, renews its lease, writes
/// outcomes. `JobQueue` documents the calls and their errors.
package struct NodeLease: Sendable {
    package let queue: any JobQueue
    package let identity: NodeIdentity
    package let lane: Lane
    private let laneCount: Int

    /// Takes the parts as given, by default for an undivided queue; `join` registers the node.
    package init(queue: any JobQueue, identity: NodeIdentity, lane: Lane = .single, laneCount: Int = 1) {
        self.queue = queue
        self.identity = identity
        self.lane = lane
        self.laneCount = laneCount
    }

    /// Returns true for the workspaces of this lane.
    package func serves(_ workspace: WorkspaceID) -> Bool { Lane.of(workspace, among: self.laneCount) == self.lane }

    /// Registers this incarnation. Returns what an earlier one held; each of those jobs counts a crash.
    package func join() async throws -> [Delivery] { try await self.queue.join(as: self.identity) }

    /// Claims entries; there may be none.
    package func claim(_ request: ClaimRequest) async throws -> Claim {
        try await self.queue.claim(request, as: self.identity)
    }

    /// Returns what this incarnation holds, for use after a claim whose reply was lost.
    package func held(fence: UInt64 = 0) async throws -> [Delivery] {
        try await self.queue.held(by: self.identity, fence: fence)
    }

    /// Renews the lease.
    package func renew() async throws -> Renewal { try await self.queue.renew(as: self.identity) }

    /// Writes outcomes. Returns for each whether it was written.
    package func finish(_ completions: [Completion]) async throws -> [Bool] {
        try await self.queue.finish(completions, as: self.identity)
    }

    /// Stores the progress of a job. Returns false when this incarnation does not hold it.
    @discardableResult
    package func noteProgress(_ progress: SealedProgress, of job: JobID) async throws -> Bool {
        try await self.queue.noteProgress(progress, of: job, as: self.identity)
    }

    /// Removes the node at the end of a drain.
    package func leave() async throws { try await self.queue.leave(as: self.identity) }
}
