package import Domain
internal import Synchronization

/// Stops the node's claims after it could not launch a program for a reason of its own (no space, no descriptors, a
/// read-only disk, no sandbox), until a check succeeds. Without it a node in trouble would fail jobs faster than healthy
/// nodes run them.
package final class LaunchPause: Sendable {
    private struct State {
        /// Why nothing can be launched; nil when nothing is known to be wrong.
        var problem: String?
        /// Launches that failed so far.
        var failures: UInt64 = 0
        /// How often this node returned a job.
        var returns: [JobID: Int] = [:]
    }

    private let state = Mutex(State())

    /// How often this node returns one job. From then on the job itself is taken for the cause.
    package static let returnsPerJob = 3
    /// Jobs that are remembered; past it the counts begin again.
    private static let capacity = 10_000
    /// The interval of looking for a problem.
    private static let tick = Duration.seconds(1)
    /// The longest time between two checks, in ticks. It begins with one and doubles while there are problems.
    private static let longestPause = 30

    /// Begins without a problem.
    package init() {}

    /// Notes that a job could not be launched for a reason of this node. Returns whether the job is to be returned to the
    /// queue uncounted. False when this node returned it too often before: the job is the cause then, and pauses nothing.
    package func launchFailed(_ job: JobID, _ reason: String) -> Bool {
        self.state.withLock { state in
            if state.returns.count >= Self.capacity { state.returns = [:] }
            let count = state.returns[job, default: 0] + 1
            state.returns[job] = count
            guard count <= Self.returnsPerJob else { return false }
            state.problem = reason
            state.failures += 1
            return true
        }
    }

    /// Notes that a job's program was launched: what kept it from that before is over.
    package func launched(_ job: JobID) {
        self.state.withLock { state in
            if !state.returns.isEmpty { state.returns[job] = nil }
        }
    }

    /// Why the node must claim no jobs now; nil when it may.
    package var reason: String? {
        self.state.withLock { $0.problem.map { "this node cannot launch programs: \($0)" } }
    }

    /// For the readiness of the node.
    package var check: HealthCheck {
        let reason = self.reason
        return HealthCheck(
            "launches", isHealthy: reason == nil, detail: reason ?? "no launch failed because of this node")
    }

    /// After a launch failed, calls `problem` with growing pauses until it returns nil, and then `resumed`. Runs until the
    /// task is cancelled; throws `CancellationError` then.
    package func run(
        problem: @Sendable () async throws -> String?, clock: any Clock<Duration>, resumed: @Sendable () async -> Void,
        heartbeat: @Sendable () -> Void
    ) async throws {
        // Also a check that succeeds lengthens the next pause, in case that the trouble is one that it cannot see.
        var (pause, waited) = (1, 0)
        while true {
            heartbeat()
            try await clock.sleep(for: Self.tick)
            waited += 1
            guard self.reason != nil else {
                if waited > 2 * Self.longestPause { pause = 1 }
                continue
            }
            guard waited >= pause else { continue }
            let failures = self.state.withLock { $0.failures }
            let found = try await problem()
            (pause, waited) = (min(2 * pause, Self.longestPause), 0)
            let isOver = self.state.withLock { state in
                // A launch that failed meanwhile is newer than the check.
                if found != nil || state.failures == failures { state.problem = found }
                return state.problem == nil
            }
            if isOver { await resumed() }
        }
    }
}
