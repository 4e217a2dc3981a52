/// The definition of a schedule, which submits jobs at fixed times: one file under `Policies/schedules/`.
package struct ScheduleDefinition: Hashable, Sendable {
    /// What happens to ticks at which no node could submit the job.
    package enum MissedTicks: String, Hashable, Sendable, CaseIterable {
        /// They are skipped. A tick is missed after one minute.
        case skip
        /// The job is submitted once, for the last one of them.
        case latest
        /// The job is submitted for each of the newest 100 of them, the oldest first.
        case all
    }

    package let name: DefinitionName
    package let summary: String
    package let workspace: WorkspaceID
    package let action: ActionName
    package let params: JSONValue
    /// The params as they are written in the file.
    package let source: [UInt8]
    package let cron: CronExpression
    package let missed: MissedTicks
    package let priority: Priority

    package init(
        name: DefinitionName, summary: String, workspace: WorkspaceID, action: ActionName, params: JSONValue,
        source: [UInt8]? = nil, cron: CronExpression, missed: MissedTicks, priority: Priority
    ) {
        self.name = name
        self.summary = summary
        self.workspace = workspace
        self.action = action
        self.params = params
        self.source = source ?? params.bytes
        self.cron = cron
        self.missed = missed
        self.priority = priority
    }

    /// In milliseconds.
    private static let grace: UInt64 = 60_000
    private static let mostTicks = 100

    /// The ticks after `last` for which a job is to be submitted at `now`, the oldest first. Times are in milliseconds since
    /// the epoch.
    package func ticks(after last: UInt64, until now: UInt64) -> [UInt64] {
        // Only the newest ticks are kept, so that the list stays bounded after a long outage.
        var ticks: [UInt64] = []
        var time = last
        while let next = self.cron.next(after: time), next <= now {
            ticks.append(next)
            if ticks.count > Self.mostTicks { ticks.removeFirst() }
            time = next
        }
        switch self.missed {
        case .all: return ticks
        case .latest: return Array(ticks.suffix(1))
        case .skip: return ticks.suffix(1).filter { $0 + Self.grace > now }
        }
    }
}
