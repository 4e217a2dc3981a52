package import Domain

/// All lanes of a queue as one store: calls for a workspace go to its lane.
package struct LanedJobStore: JobStore {
    package let lanes: [RedisStreamJobQueue]
    package let limits: QueueLimits
    private let first: RedisStreamJobQueue

    /// Throws `JobQueueError` when `lanes` is empty.
    package init(lanes: [RedisStreamJobQueue]) throws(JobQueueError) {
        guard let first = lanes.first else {
            throw JobQueueError(code: .failed, message: "the queue has no lanes; expected at least one")
        }
        self.lanes = lanes
        self.first = first
        self.limits = first.limits
    }

    private func lane(of workspace: WorkspaceID) -> RedisStreamJobQueue {
        self.lanes[Lane.of(workspace, among: self.lanes.count).number]
    }

    /// Stores the jobs of one lane after the other. When a call throws, the jobs of earlier lanes are stored; a repeated call
    /// returns them as duplicates.
    package func submit(_ submissions: [SealedSubmission]) async throws -> [SubmissionResult] {
        guard self.lanes.count > 1 else { return try await self.first.submit(submissions) }
        var places: [Int: [Int]] = [:]
        for (index, submission) in submissions.enumerated() {
            places[Lane.of(submission.workspace, among: self.lanes.count).number, default: []].append(index)
        }
        var results: [Int: SubmissionResult] = [:]
        for (lane, indices) in places.sorted(by: { $0.key < $1.key }) {
            let answers = try await self.lanes[lane].submit(indices.map { submissions[$0] })
            for (index, answer) in zip(indices, answers) { results[index] = answer }
        }
        return try submissions.indices.map { index in
            guard let result = results[index] else { throw RedisStreamJobQueue.unexpected("submit") }
            return result
        }
    }

    /// Stores the event in the workspace's lane, or in the first lane when `workspace` is nil.
    package func appendAudit(_ event: [UInt8], of workspace: WorkspaceID?) async throws {
        try await (workspace.map(self.lane(of:)) ?? self.first).appendAudit(event, of: workspace)
    }

    /// Returns the time of the first lane in milliseconds since the epoch.
    package func time() async throws -> UInt64 { try await self.first.time() }

    /// Returns the last tick from the lane of the schedule's workspace, in milliseconds since the epoch.
    package func lastTick(of schedule: ScheduleTick) async throws -> UInt64 {
        try await self.lane(of: schedule.workspace).lastTick(of: schedule)
    }

    /// Returns the wrapped key from the workspace's lane; nil when there is none with this ID.
    package func wrappedKey(_ id: UInt32, of workspace: WorkspaceID) async throws -> [UInt8]? {
        try await self.lane(of: workspace).wrappedKey(id, of: workspace)
    }

    /// Stores the wrapped key in the workspace's lane unless there is one with this ID.
    package func storeKey(_ wrapped: [UInt8], id: UInt32, of workspace: WorkspaceID) async throws {
        try await self.lane(of: workspace).storeKey(wrapped, id: id, of: workspace)
    }

    /// Also checks that all processes divide this queue into the same number of lanes; otherwise a workspace would have two.
    /// Throws `JobQueueError`: `wrongLanes` when the number differs.
    package func masterFingerprint(own: [UInt8]) async throws -> [UInt8] {
        let count = try await self.first.laneCount(own: self.lanes.count)
        guard count == self.lanes.count else {
            throw JobQueueError(
                code: .wrongLanes,
                message:
                    "this queue has \(count) lanes, but ORCHESTRA_QUEUE_LANES is \(self.lanes.count); set it to \(count)"
            )
        }
        return try await self.first.masterFingerprint(own: own)
    }

    /// Reads the job from the workspace's lane; nil when there is none.
    package func job(_ id: JobID, in workspace: WorkspaceID) async throws -> JobRecord? {
        try await self.lane(of: workspace).job(id, in: workspace)
    }

    /// Returns the newest jobs from the workspace's lane.
    package func jobs(
        in workspace: WorkspaceID, limit: Int, tag: JobTag?, after: JobID?
    ) async throws -> [JobRecord] {
        try await self.lane(of: workspace).jobs(in: workspace, limit: limit, tag: tag, after: after)
    }

    /// Returns the jobs of the workspace that nodes hold, from its lane.
    package func running(in workspace: WorkspaceID) async throws -> [JobID] {
        try await self.lane(of: workspace).running(in: workspace)
    }

    /// Returns a page of the audit trail of the workspace, or of the events without one, which are in the first lane.
    package func auditTrail(
        of workspace: WorkspaceID?, before cursor: String?, limit: Int
    ) async throws -> AuditPage {
        try await (workspace.map(self.lane(of:)) ?? self.first).auditTrail(of: workspace, before: cursor, limit: limit)
    }

    /// Waits in the workspace's lane for the end of the job.
    package func waitForEnd(of id: JobID, in workspace: WorkspaceID, timeout: Duration) async throws -> JobState? {
        try await self.lane(of: workspace).waitForEnd(of: id, in: workspace, timeout: timeout)
    }

    /// Returns the sums over all lanes, read one after the other; the age is the greatest one.
    package func statistics() async throws -> QueueStatistics {
        var sum = QueueStatistics()
        for lane in self.lanes { sum = sum + (try await lane.statistics()) }
        return sum
    }

    /// Cancels the job in the workspace's lane.
    package func cancel(
        _ id: JobID, in workspace: WorkspaceID, request: [UInt8], outcome: [UInt8]
    ) async throws -> JobState? {
        try await self.lane(of: workspace).cancel(id, in: workspace, request: request, outcome: outcome)
    }

    /// Returns the newest dead letters from the workspace's lane.
    package func deadLetters(in workspace: WorkspaceID, limit: Int) async throws -> [DeadLetter] {
        try await self.lane(of: workspace).deadLetters(in: workspace, limit: limit)
    }

    /// Returns the dead letter from the workspace's lane; nil when there is none.
    package func deadLetter(_ id: JobID, in workspace: WorkspaceID) async throws -> DeadLetter? {
        try await self.lane(of: workspace).deadLetter(id, in: workspace)
    }

    /// Requeues the job in the workspace's lane.
    package func requeue(
        _ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]
    ) async throws -> DeadLetterResult {
        try await self.lane(of: workspace).requeue(id, in: workspace, auditEvent: auditEvent)
    }

    /// Removes the dead letter from the workspace's lane.
    package func drop(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> DeadLetterResult {
        try await self.lane(of: workspace).drop(id, in: workspace, auditEvent: auditEvent)
    }

    /// Records the decision in the workspace's lane.
    package func resolve(
        _ id: JobID, in workspace: WorkspaceID, as resolution: Resolution, reason: String, auditEvent: [UInt8]
    ) async throws -> Bool {
        try await self.lane(of: workspace).resolve(
            id, in: workspace, as: resolution, reason: reason, auditEvent: auditEvent)
    }

    /// Sets or removes the limits in the workspace's lane.
    package func setLimits(
        _ limits: WorkspaceLimits?, of workspace: WorkspaceID, auditEvent: [UInt8]
    ) async throws {
        try await self.lane(of: workspace).setLimits(limits, of: workspace, auditEvent: auditEvent)
    }

    /// Starts or ends the quarantine in the workspace's lane.
    package func quarantine(
        _ workspace: WorkspaceID, reason: String?, auditEvent: [UInt8]
    ) async throws -> Bool {
        try await self.lane(of: workspace).quarantine(workspace, reason: reason, auditEvent: auditEvent)
    }

    /// Returns the workspaces of all lanes that are in quarantine, by name.
    package func quarantined() async throws -> [Quarantine] {
        var all: [Quarantine] = []
        for lane in self.lanes { all += try await lane.quarantined() }
        return all.sorted { $0.workspace < $1.workspace }
    }

    /// Sets or ends the home in the workspace's lane.
    package func setHome(_ node: NodeID?, of workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> HomeChange {
        try await self.lane(of: workspace).setHome(node, of: workspace, auditEvent: auditEvent)
    }

    /// Returns the workspaces of all lanes that have or had a home, by name.
    package func homes() async throws -> [WorkspaceHome] {
        var all: [WorkspaceHome] = []
        for lane in self.lanes { all += try await lane.homes() }
        return all.sorted { $0.workspace < $1.workspace }
    }

    /// Returns the workspaces of all lanes that have a weight or limits, by name.
    package func workspaceLimits() async throws -> [WorkspaceLoad] {
        var all: [WorkspaceLoad] = []
        for lane in self.lanes { all += try await lane.workspaceLimits() }
        return all.sorted { $0.workspace < $1.workspace }
    }
}
