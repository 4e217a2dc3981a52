package import Domain

/// A job as its record tells it.
package struct JobRecord: Hashable, Sendable {
    package let id: JobID
    package let state: JobState
    package let action: String
    /// Milliseconds since the epoch; 0 where it has not happened, or is not known yet.
    package let startedAt: UInt64
    package let finishedAt: UInt64
    package let failures: Int
    package let crashes: Int
    package let node: String
    package let reason: String
    package let tags: [String]
    package let progress: JobProgress?
    /// Still sealed; empty when there is none.
    package let sealedResult: [UInt8]

    /// Milliseconds since the epoch.
    package var submittedAt: UInt64 { self.id.milliseconds }

    /// As lists have it.
    var withoutResult: JobRecord {
        JobRecord(
            id: self.id, state: self.state, action: self.action, startedAt: self.startedAt,
            finishedAt: self.finishedAt, failures: self.failures, crashes: self.crashes, node: self.node,
            reason: self.reason, tags: self.tags, progress: self.progress, sealedResult: [])
    }
}

/// Some events of the audit trail, the newest first, as their stored lines.
package struct AuditPage: Hashable, Sendable {
    package let events: [[UInt8]]
    /// Where the next page begins; nil when there is none.
    package let next: String?

    /// Entries that are looked through for one page.
    static let depth = 5000
    static let chunk = 500

    /// Whether a stored line is of this workspace.
    static func holds(_ event: [UInt8], _ workspace: WorkspaceID) -> Bool {
        (try? JSONParser.parse(event))?["workspace"]?.string == workspace.name
    }
}

/// How far a running job says it is.
package struct JobProgress: Hashable, Sendable {
    /// 0 to 100.
    package let percent: Int
    package let text: String
    /// When it was said, in milliseconds since the epoch by the queue's clock; 0 before it is stored.
    package let time: UInt64

    /// Longer texts are cut.
    package static let textLimit = 200

    package init(percent: Int, text: String, time: UInt64 = 0) {
        self.percent = min(max(percent, 0), 100)
        self.text = Printable.text(text, limit: Self.textLimit)
        self.time = time
    }
}

/// A job that was given up on, or whose outcome is unknown, kept for a person.
package struct DeadLetter: Hashable, Sendable {
    package let job: JobID
    /// `discarded` or `unresolved`.
    package let state: JobState
    package let action: String
    package let reason: String
    /// The last run's output, sealed as a result; empty when there is none, and in a list.
    package let sealedOutput: [UInt8]
    /// Milliseconds since the epoch, by the queue's clock.
    package let since: UInt64
}

/// What was done with a dead letter.
package enum DeadLetterResult: Int, Hashable, Sendable {
    case absent = 0
    case done = 1
    /// It waits for a decision on its outcome, and nothing else may be done with it.
    case isUnresolved = 2
    /// Another job has the unique key that it had.
    case isTaken = 3
}

/// What a person found out about a job whose outcome was unknown.
package enum Resolution: String, Hashable, Sendable, CaseIterable {
    /// It took effect.
    case done
    /// It did not, and is not to be tried again.
    case failed
    /// It did not, and is to be tried again.
    case retry
}

/// How full the queue is.
package struct QueueStatistics: Hashable, Sendable {
    package var waiting = 0
    package var oldestAge = Duration.zero
    package var running = 0
    package var delayed = 0
    /// Workspaces with work that wait for their limits.
    package var parked = 0
    /// Requests answered with an earlier job, ever.
    package var duplicates = 0
    /// Requests refused by a bound, ever.
    package var refused = 0
    /// Dead letters evicted because there were too many, ever.
    package var deadLettersEvicted = 0
    /// Entries of jobs that had ended, found and removed, ever.
    package var refusedEntries = 0

    package init() {}

    package static func + (left: QueueStatistics, right: QueueStatistics) -> QueueStatistics {
        var sum = left
        sum.waiting += right.waiting
        sum.oldestAge = max(left.oldestAge, right.oldestAge)
        sum.running += right.running
        sum.delayed += right.delayed
        sum.parked += right.parked
        sum.duplicates += right.duplicates
        sum.refused += right.refused
        sum.deadLettersEvicted += right.deadLettersEvicted
        sum.refusedEntries += right.refusedEntries
        return sum
    }
}

/// A workspace's weight and limits, held over all nodes.
package struct WorkspaceLimits: Hashable, Sendable {
    /// So many jobs may start in each period; they start as evenly as the bucket of one period's worth lets them.
    package struct Rate: Hashable, Sendable {
        package let count: Int
        package let period: Duration

        /// Nil unless 1 to 1,000,000 in 1 second to 1 day.
        package init?(count: Int, period: Duration) {
            guard (1...1_000_000).contains(count), (Duration.seconds(1)...Duration.seconds(86_400)).contains(period)
            else { return nil }
            self.count = count
            self.period = period
        }
    }

    /// Its part of the nodes beside others that have work too, 1 to 100.
    package let weight: Int
    /// Jobs that run at once on all nodes; nil for no limit.
    package let concurrency: Int?
    package let rate: Rate?

    /// Nil when a number is out of its range.
    package init?(weight: Int = 1, concurrency: Int? = nil, rate: Rate? = nil) {
        guard (1...100).contains(weight), (1...1_000_000).contains(concurrency ?? 1) else { return nil }
        self.weight = weight
        self.concurrency = concurrency
        self.rate = rate
    }

    /// `weight:concurrency:rate:period in ms`, 0 for no limit.
    var text: String {
        "\(self.weight):\(self.concurrency ?? 0):\(self.rate?.count ?? 0):\(self.rate?.period.milliseconds ?? 0)"
    }

    init?(text: String) {
        let numbers = text.split(separator: ":").compactMap { Int($0) }
        guard numbers.count == 4 else { return nil }
        self.init(
            weight: numbers[0], concurrency: numbers[1] == 0 ? nil : numbers[1],
            rate: Rate(count: numbers[2], period: .milliseconds(numbers[3])))
    }
}

/// A workspace with limits of its own.
package struct WorkspaceLoad: Hashable, Sendable {
    package let workspace: String
    package let limits: WorkspaceLimits
    /// Its jobs that run now, on all nodes.
    package let running: Int
}

/// A workspace that gets nothing done until a person lets it go on, and why.
package struct Quarantine: Hashable, Sendable {
    package let workspace: String
    package let reason: String

    package init(workspace: String, reason: String) {
        self.workspace = workspace
        self.reason = reason
    }
}
