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

    /// Takes the parts as given. When `source` is nil, the source is the JSON written from `params`.
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

    /// The ticks later than `last` that are to be acted on at `now`, the oldest first.
    package func ticks(after last: UInt64, until now: UInt64) -> [UInt64] {
        // Backwards from now: however long nothing was due, no more is computed than is returned.
        var ticks: [UInt64] = []
        var time = now
        while ticks.count < (self.missed == .all ? Self.mostTicks : 1), let tick = self.cron.last(through: time),
            tick > last
        {
            ticks.append(tick)
            guard tick > 0 else { break }
            time = tick - 1
        }
        switch self.missed {
        case .all, .latest: return ticks.reversed()
        case .skip: return ticks.filter { $0 + Self.grace > now }
        }
    }
}
