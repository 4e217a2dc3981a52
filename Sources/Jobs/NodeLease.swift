package import Domain

/// A node's side of the queue, or of one lane of it: it joins under a name, claims entries, keeps its lease, completes.
package struct NodeLease: Sendable {
    package let queue: any JobQueue
    package let identity: NodeIdentity
    package let lane: Lane
    private let laneCount: Int

    package init(queue: any JobQueue, identity: NodeIdentity, lane: Lane = .single, laneCount: Int = 1) {
        self.queue = queue
        self.identity = identity
        self.lane = lane
        self.laneCount = laneCount
    }

    /// True for the workspaces of its lane.
    package func serves(_ workspace: WorkspaceID) -> Bool { Lane.of(workspace, among: self.laneCount) == self.lane }

    /// Takes the node's name and returns what its earlier life held; each of those counts as a crash.
    package func join() async throws -> [Delivery] { try await self.queue.join(as: self.identity) }

    package func claim(_ request: ClaimRequest) async throws -> Claim {
        try await self.queue.claim(request, as: self.identity)
    }

    /// What this incarnation holds; asked after a claim whose answer was lost.
    package func held(fence: UInt64 = 0) async throws -> [Delivery] {
        try await self.queue.held(by: self.identity, fence: fence)
    }

    /// Keeps the lease for another term.
    package func renew() async throws -> Renewal { try await self.queue.renew(as: self.identity) }

    package func finish(_ completions: [Completion]) async throws -> [Bool] {
        try await self.queue.finish(completions, as: self.identity)
    }

    /// False when the job is no longer this incarnation's.
    @discardableResult
    package func noteProgress(_ progress: JobProgress, of job: JobID) async throws -> Bool {
        try await self.queue.noteProgress(progress, of: job, as: self.identity)
    }

    /// Gives the name up at the end of a drain.
    package func leave() async throws { try await self.queue.leave(as: self.identity) }
}
