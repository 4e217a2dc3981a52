internal import Agents
package import CoreMetrics
package import Domain
package import Jobs
package import Logging

/// Takes the last copy of a workspace's files before its first run here, and makes new copies of what the runs changed.
package actor WorkspaceCopier {
    private let copies: any WorkspaceCopies
    private let interval: Duration
    private let queueClock: QueueClock
    private let logger: Logger
    private let made: Counter
    private let failed: Counter
    private let failureLog = LogThrottle()
    private let takes = SharedRuns<WorkspaceID, AgentError?>()
    private var running: [WorkspaceID: Int] = [:]
    /// Workspaces whose files may differ from their copy.
    private var changed: Set<WorkspaceID> = []

    /// The time for the copies that a drain still makes.
    private static let lastTime = Duration.seconds(20)

    /// Takes the parts as given; copies nothing before `run`. `interval` is the time between two copies of a workspace.
    package init(
        copies: any WorkspaceCopies, interval: Duration, queueClock: QueueClock, metrics: any MetricsFactory,
        logger: Logger
    ) {
        self.copies = copies
        self.interval = interval
        self.queueClock = queueClock
        self.logger = logger
        self.made = Counter(label: "orchestra_workspace_copies_total", factory: metrics)
        self.failed = Counter(label: "orchestra_workspace_copy_failures_total", factory: metrics)
    }

    /// Runs `body`, which uses the files of a workspace, once they are those of the last copy. What it leaves is copied later.
    /// A run that is resumed has its files. Throws what `body` throws, and an `AgentError` as `WorkspaceCopies.take` before
    /// it began.
    package nonisolated func using<Value: Sendable>(
        _ workspace: WorkspaceID, isResumed: Bool = false, _ body: () async throws -> Value
    ) async throws -> Value {
        try await self.begin(workspace, isResumed: isResumed)
        do {
            let value = try await body()
            await self.end(workspace)
            return value
        } catch {
            await self.end(workspace)
            throw error
        }
    }

    private func begin(_ workspace: WorkspaceID, isResumed: Bool) async throws(AgentError) {
        // Files are not replaced under a run.
        if !isResumed, self.running[workspace] == nil {
            let copies = self.copies
            let problem = await self.takes.value(of: workspace) { () -> AgentError? in
                do throws(AgentError) {
                    try await copies.take(workspace)
                    return nil
                } catch {
                    return error
                }
            }
            if let problem {
                self.log("a workspace waits for its last copy, which cannot be taken", problem, workspace)
                throw problem
            }
        }
        self.running[workspace, default: 0] += 1
        self.changed.insert(workspace)
    }

    private func end(_ workspace: WorkspaceID) {
        let count = self.running[workspace, default: 1] - 1
        self.running[workspace] = count > 0 ? count : nil
    }

    /// Runs until the task is cancelled, and makes the last copies then. A failure is counted and logged once a minute; the
    /// workspace's next turn tries again.
    package func run(clock: any Clock<Duration>) async throws {
        do {
            while true {
                try await clock.sleep(for: self.interval)
                await self.makeAll()
            }
        } catch {
            await withoutCancellation {
                await withTaskGroup(of: Void.self) { tasks in
                    tasks.addTask { await self.makeAll() }
                    tasks.addTask { do { try await clock.sleep(for: Self.lastTime) } catch { return } }
                    await tasks.next()
                    tasks.cancelAll()
                }
            }
            throw error
        }
    }

    private func makeAll() async {
        for workspace in self.changed.sorted(by: { $0.name < $1.name }) where !Task.isCancelled {
            await self.make(workspace)
        }
    }

    private func make(_ workspace: WorkspaceID) async {
        // What is changed from here on is for the next copy.
        if self.running[workspace] == nil { self.changed.remove(workspace) }
        do {
            try await self.copies.make(workspace)
            self.made.increment()
        } catch {
            self.changed.insert(workspace)
            self.failed.increment()
            self.log("the files of a workspace could not be copied; the earlier copy stays", error, workspace)
        }
    }

    private func log(_ message: Logger.Message, _ error: any Error, _ workspace: WorkspaceID) {
        guard let count = self.failureLog.note(at: self.queueClock.now()) else { return }
        self.logger.error(
            message, error: error, metadata: ["workspace.id": "\(workspace)", "failures.count": "\(count)"])
    }
}
