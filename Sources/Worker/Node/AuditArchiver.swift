package import Agents
internal import AuditArchive
package import CoreMetrics
internal import Domain
package import Jobs
package import Logging

/// Moves the audit trail out of Redis into this node's archive.
///
/// In each lane one node does so at a time, under a lease. It reads what is not archived, stores it on disk, and only then
/// notes in Redis how far it has come. A node that ends in between finds the events in its own archive when it starts again and
/// does not append them twice.
package actor AuditArchiver {
    private let configuration: ArchiveConfiguration
    private let identity: NodeIdentity
    private let files: FileSystemPool
    private let queueClock: QueueClock
    private let logger: Logger
    private let rows: Counter
    private let failures: Counter
    private let lagEntries: Gauge
    private let lagSeconds: Gauge
    private let failureLog = LogThrottle()
    private let scanLog = LogThrottle()
    private var lanes: [ArchivedLane]
    private var writer: ArchiveWriter?
    /// When the last look at all trails that did not fail began: what was older is archived.
    private var lookedAt: UInt64 = 0

    /// The time between two looks at the trails.
    private static let interval = Duration.seconds(1)
    /// The time after a failure of the disk: it is full for longer than a moment.
    private static let pause = Duration.seconds(10)
    /// Redis does nothing else while it reads a batch: 64 entries are half a millisecond.
    static func entriesABatch(lag seconds: Double) -> Int { seconds < 2 ? 64 : 500 }
    private static let trailsACall = 200

    /// Takes the parts as given; opens nothing before `run`. `files` runs the blocking work.
    package init(
        configuration: ArchiveConfiguration, identity: NodeIdentity, lanes: [QueueLane], files: FileSystemPool,
        queueClock: QueueClock, metrics: any MetricsFactory, logger: Logger
    ) {
        self.configuration = configuration
        self.identity = identity
        self.lanes = lanes.map { ArchivedLane(queue: $0.queue, number: $0.lane.number) }
        self.files = files
        self.queueClock = queueClock
        self.logger = logger
        self.rows = Counter(label: "orchestra_archive_rows_total", factory: metrics)
        self.failures = Counter(label: "orchestra_archive_failures_total", factory: metrics)
        self.lagEntries = Gauge(label: "orchestra_archive_lag_entries", factory: metrics)
        self.lagSeconds = Gauge(label: "orchestra_archive_lag_seconds", factory: metrics)
    }

    /// Runs until the task is cancelled; signs what it archived and gives up its leases then. Failures of the disk and of
    /// Redis are counted, logged once a minute, and tried again: no job depends on the archive, and Redis keeps the events.
    package func run(clock: any Clock<Duration>, heartbeat: @escaping @Sendable () -> Void) async throws {
        self.lookedAt = self.queueClock.now()
        do {
            while true {
                heartbeat()
                var pause = Self.interval
                do { try await self.pass(clock, heartbeat) } catch let error as CancellationError { throw error } catch
                {
                    if self.note(error) {
                        pause = Self.pause
                        await self.leave()
                    }
                }
                try await clock.sleep(for: pause)
            }
        } catch {
            await withoutCancellation { await self.close() }
            throw error
        }
    }

    /// Counts and logs a failure; returns whether it is one of the archive, which is then opened again.
    private func note(_ error: any Error) -> Bool {
        // The link child reports an outage.
        if let error = error as? JobQueueError, error.isTransient { return false }
        self.failures.increment()
        let now = self.queueClock.now()
        self.record(lag: Double(now - min(self.lookedAt, now)) / 1000)
        if self.failureLog.note(at: self.queueClock.now()) != nil {
            self.logger.error("the audit trail could not be archived", error: error)
        }
        guard !(error is JobQueueError) else { return false }
        self.writer = nil
        return true
    }

    private func close() async {
        do {
            if self.writer != nil { try await self.seal(always: true) }
        } catch {
            // What is on disk stays; the next start signs it.
            self.logger.warning("the archive of the audit trail could not be closed", error: error)
        }
        await self.leave()
    }

    /// Gives up the leases, so that another node can archive.
    private func leave() async {
        do {
            for index in self.lanes.indices where self.lanes[index].holdsLease {
                try await self.lanes[index].queue.leaveArchive(noting: self.lanes[index].notes, as: self.identity)
                self.lanes[index].notes = []
                self.lanes[index].holdsLease = false
                self.lanes[index].swept = nil
            }
        } catch {
            // They end by themselves, and what is on disk is noted at the next start.
            self.logger.warning("the leases of the archive could not be given up", error: error)
        }
    }

    // MARK: - A pass over all lanes

    private func record(lag seconds: Double) {
        self.lagEntries.record(self.lanes.reduce(0) { $0 + $1.waiting })
        self.lagSeconds.record(seconds)
    }

    private func pass(_ clock: any Clock<Duration>, _ heartbeat: @Sendable () -> Void) async throws {
        let began = self.queueClock.now()
        var seconds = 0.0
        for index in self.lanes.indices { seconds = max(seconds, try await self.pass(lane: index, clock, heartbeat)) }
        self.record(lag: seconds)
        self.lookedAt = began
        if self.writer != nil {
            try await self.seal(always: false)
            try await self.changeKey()
        }
    }

    /// Archives what a lane has; returns the age of the oldest entry that it found, in seconds.
    private func pass(
        lane index: Int, _ clock: any Clock<Duration>, _ heartbeat: @Sendable () -> Void
    ) async throws -> Double {
        let start = try await self.call([], most: 0, lane: index)
        let isDue = start.other == nil && self.lanes[index].isSweepDue(start.written)
        self.lanes[index].waiting = isDue ? max(0, start.written - start.archived) : 0
        guard isDue else { return 0 }
        try await self.open()
        try await self.discover(lane: index)
        var seconds = 0.0
        let trails = self.lanes[index].trails
        var at = 0
        while at < trails.count {
            let began = self.queueClock.now()
            let chunk = Array(trails[at..<min(at + Self.trailsACall, trails.count)])
            let batch = try await self.call(chunk, most: Self.entriesABatch(lag: seconds), lane: index)
            guard batch.other == nil else {
                self.lanes[index].waiting = 0
                return 0
            }
            var lag = 0.0
            if let oldest = batch.entries.compactMap(\.time).min() {
                let now = self.queueClock.now()
                lag = Double(now - min(oldest, now)) / 1000
            }
            seconds = max(seconds, lag)
            try await self.store(batch.entries, lane: index)
            at += batch.next ?? chunk.count
            heartbeat()
            let now = self.queueClock.now()
            let rest = Self.rest(after: now - min(began, now), lag: lag)
            if rest > .zero { try await clock.sleep(for: rest) }
        }
        if !self.lanes[index].notes.isEmpty { _ = try await self.call([], most: 0, lane: index) }
        self.lanes[index].swept = start.written
        // Redis knows of all events that the archive had.
        if self.lanes.allSatisfy({ $0.swept != nil }) { self.writer?.forgetRecent() }
        return seconds
    }

    /// How long to wait after a batch that took some milliseconds: jobs go first as long as the archive is not seconds behind.
    /// At full speed the archive would take a third of a node that does nothing but start and end jobs.
    static func rest(after milliseconds: UInt64, lag: Double) -> Duration {
        let share: Int64 = lag < 2 ? 9 : lag < 10 ? 3 : 0
        return .milliseconds(share * Int64(clamping: min(milliseconds, 1000)))
    }

    /// Notes what is archived and reads on. What was noted is forgotten only with the answer: a note that is repeated changes
    /// nothing.
    private func call(_ trails: [String], most: Int, lane index: Int) async throws -> TrailBatch {
        let lane = self.lanes[index]
        let batch = try await lane.queue.archive(trails, noting: lane.notes, most: most, as: self.identity)
        self.lanes[index].notes = []
        self.lanes[index].holdsLease = batch.other == nil
        if let other = batch.other, self.lanes[index].swept != nil || !lane.notes.isEmpty {
            self.logger.notice(
                "another node archives the audit trail now", metadata: ["lane": "\(lane.number)", "node": "\(other)"])
        }
        if batch.other != nil { self.lanes[index].swept = nil }
        return batch
    }

    private func store(_ entries: [TrailBatch.Entry], lane index: Int) async throws {
        guard !entries.isEmpty, let writer = self.writer else { return }
        let (lane, now) = (self.lanes[index].number, self.queueClock.now())
        let events = entries.flatMap { entry in
            entry.events.enumerated().map { number, bytes in
                ArchivedEvent(lane: lane, trail: entry.trail, id: entry.id, number: number, bytes: bytes)
            }
        }
        let (changed, count) = try await self.files.run {
            var writer = writer
            let count = try writer.append(events, at: now)
            return (writer, count)
        }
        self.writer = changed
        self.lanes[index].note(entries)
        self.rows.increment(by: count)
    }

    private func seal(always: Bool) async throws {
        guard let writer = self.writer else { return }
        let now = self.queueClock.now()
        self.writer = try await self.files.run {
            var writer = writer
            try writer.seal(at: now, always: always)
            return writer
        }
    }

    /// Looks for another key in each pass, so that one is used without a restart.
    private func changeKey() async throws {
        guard let writer = self.writer else { return }
        let (configuration, now) = (self.configuration, self.queueClock.now())
        let changed = try await self.files.run {
            var writer = writer
            return try configuration.changeKey(of: &writer, at: now) ? writer : nil
        }
        guard let changed else { return }
        self.writer = changed
        self.logger.notice(
            "another key signs the archive of the audit trail", metadata: ["key.fingerprint": "\(changed.fingerprint)"])
    }

    private func open() async throws {
        guard self.writer == nil else { return }
        let (configuration, node, now) = (self.configuration, self.identity.node.name, self.queueClock.now())
        let writer = try await self.files.run { try configuration.open(node: node, at: now) }
        for repair in writer.repairs {
            self.logger.warning(
                "rows behind the signed head of the archive were removed; Redis still has those that a node read",
                metadata: ["removed": "\(repair)"])
        }
        self.logger.info(
            "the archive of the audit trail is open",
            metadata: ["path": "\(configuration.directory)", "key.fingerprint": "\(writer.fingerprint)"])
        self.writer = writer
    }

    /// Finds the trails of a lane: those of workspaces with jobs each time, all others about once a minute.
    private func discover(lane index: Int) async throws {
        let queue = self.lanes[index].queue
        self.lanes[index].add(try await queue.workspacesWithJobs())
        guard self.lanes[index].isScanDue(at: self.queueClock.now()) else { return }
        do {
            var cursor = "0"
            repeat {
                let part = try await queue.scanTrails(cursor)
                cursor = part.cursor
                self.lanes[index].add(part.trails)
            } while cursor != "0"
        } catch let error as JobQueueError where !error.isTransient {
            // A user of Redis without this right: trails of workspaces without jobs are not found.
            if self.scanLog.note(at: self.queueClock.now()) != nil {
                self.logger.error(
                    "audit trails of workspaces without jobs are not archived: the user of Redis may not SCAN",
                    error: error)
            }
        }
    }
}
