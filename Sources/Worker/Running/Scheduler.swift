internal import Cryptography
package import Domain
package import Intake
package import Jobs
package import Logging

/// Submits the jobs of the policy's schedules when they are due. Each node has a scheduler, and there is no leader: the queue
/// records the last tick of each schedule in the step that stores its job, so each tick is one job, whichever node submits it
/// first.
package actor Scheduler {
    private let schedules: [ScheduleDefinition]
    private let queue: any JobStore
    private let intake: Intake
    private let clock: any Clock<Duration>
    private let logger: Logger
    /// The last submitted tick of each schedule, as far as this node has read or written it.
    private var last: [String: UInt64] = [:]
    /// The last refused tick of each schedule.
    private var refused: [String: UInt64] = [:]

    /// In milliseconds.
    private static let longestPause: UInt64 = 5000

    /// Orders the schedules by name; submits nothing before `run`.
    package init(
        queue: any JobStore, intake: Intake, schedules: [ScheduleDefinition], clock: any Clock<Duration>,
        logger: Logger
    ) {
        self.schedules = schedules.sorted { $0.name.name < $1.name.name }
        self.queue = queue
        self.intake = intake
        self.clock = clock
        self.logger = logger
    }

    /// Whether the policy has schedules.
    nonisolated var isNeeded: Bool { !self.schedules.isEmpty }

    /// Runs until the task is cancelled. Waits while Redis is unavailable; throws other errors of the queue. Submitted ticks
    /// are not repeated by another call.
    package func run(heartbeat: @Sendable () -> Void) async throws {
        while true {
            heartbeat()
            var pause = Self.longestPause
            do {
                pause = try await self.askForWhatIsDue()
            } catch let error as JobQueueError where error.isTransient {
                // After the outage, the schedule's setting for missed ticks applies.
            }
            try await self.clock.sleep(for: .milliseconds(Int64(pause)))
        }
    }

    /// Submits the jobs that are due. Returns the milliseconds until the next call, 10 to 5000.
    func askForWhatIsDue() async throws -> UInt64 {
        let now = try await self.queue.time()
        var pause = Self.longestPause
        for schedule in self.schedules {
            let name = ScheduleTick(schedule: schedule.name, workspace: schedule.workspace, time: 0)
            var last: UInt64
            if let known = self.last[name.name] {
                last = known
            } else {
                last = try await self.queue.lastTick(of: name)
            }
            for tick in schedule.ticks(after: last, until: now) {
                // When the queue is full, the tick is retried as long as the setting for missed ticks permits.
                guard try await self.submit(schedule, tick) else { break }
                last = tick
            }
            self.last[name.name] = last
            if let next = schedule.cron.next(after: max(last, now)) { pause = min(pause, next - now) }
        }
        return max(pause, 10)
    }

    /// Submits the job of one tick. Returns false when the queue is full, so that the tick must be retried.
    private func submit(_ schedule: ScheduleDefinition, _ time: UInt64) async throws -> Bool {
        let tick = ScheduleTick(schedule: schedule.name, workspace: schedule.workspace, time: time)
        let digest = try Digests.sha256(Array("\(tick.name)/\(time)".utf8)).prefix(16)
        guard let id = UUIDBytes(bytes: digest) else { return true }
        let answers = try await self.intake.submit([
            JobRequest(
                workspace: schedule.workspace, action: schedule.action, requestID: RequestID(uuid: id),
                params: schedule.source, actor: "schedule:\(schedule.name)", priority: schedule.priority,
                tick: tick)
        ])
        switch answers.first {
        case .accepted(let job, isDuplicate: false, state: _)?:
            self.logger.info(
                "a scheduled job was submitted",
                metadata: ["schedule": "\(schedule.name)", "job.id": "\(job)", "tick": "\(time)"])
        case .refused(let refusal)?:
            // Logged once for each tick, not at each retry.
            if self.refused[tick.name] != time {
                self.refused[tick.name] = time
                self.logger.warning(
                    "a scheduled job was refused",
                    metadata: ["schedule": "\(schedule.name)", "reason": "\(refusal.message)", "tick": "\(time)"])
            }
            return refusal.kind != .full
        case .accepted?, nil: break  // another node submitted it first
        }
        return true
    }
}
