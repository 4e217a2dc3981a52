internal import Cryptography
package import Domain
package import Intake
package import Jobs
package import Logging

/// Asks for what is due by the policy's schedules. Every node has one, and none leads: a tick is one job, whoever asks
/// first, because the queue remembers each schedule's last tick in the step that stores the job.
package actor Scheduler {
    private let schedules: [ScheduleDefinition]
    private let queue: any JobStore
    private let intake: Intake
    private let clock: any Clock<Duration>
    private let logger: Logger
    /// The last tick that is known to be done, by schedule.
    private var last: [String: UInt64] = [:]
    /// The last tick that was refused, by schedule.
    private var refused: [String: UInt64] = [:]

    private static let longestPause: UInt64 = 5000

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

    nonisolated var isNeeded: Bool { !self.schedules.isEmpty }

    package func run(heartbeat: @Sendable () -> Void) async throws {
        while true {
            heartbeat()
            var pause = Self.longestPause
            do {
                pause = try await self.askForWhatIsDue()
            } catch let error as JobQueueError where error.isTransient {
                // What is missed meanwhile its schedule's policy decides about.
            }
            try await self.clock.sleep(for: .milliseconds(Int64(pause)))
        }
    }

    /// Milliseconds until something may be due.
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
                // Where there is no room it is asked again, as long as the schedule's policy says.
                guard try await self.ask(schedule, tick) else { break }
                last = tick
            }
            self.last[name.name] = last
            if let next = schedule.cron.next(after: max(last, now)) { pause = min(pause, next - now) }
        }
        return max(pause, 10)
    }

    /// False when there was no room for the job: the tick is not done.
    private func ask(_ schedule: ScheduleDefinition, _ time: UInt64) async throws -> Bool {
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
                "a scheduled job was asked for",
                metadata: ["schedule": "\(schedule.name)", "job.id": "\(job)", "tick": "\(time)"])
        case .refused(let refusal)?:
            // Said once, and not each time that it is asked again.
            if self.refused[tick.name] != time {
                self.refused[tick.name] = time
                self.logger.warning(
                    "a scheduled job was refused",
                    metadata: ["schedule": "\(schedule.name)", "reason": "\(refusal.message)", "tick": "\(time)"])
            }
            return refusal.kind != .full
        case .accepted?, nil: break  // another node was first
        }
        return true
    }
}
