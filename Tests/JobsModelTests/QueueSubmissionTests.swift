import Domain
import JobsModel
import Testing

@testable import Jobs

@Suite("QueueMachine, submissions")
struct QueueSubmissionTests {
    @Test("an accepted job is available, waits, and has its event")
    func accepted() throws {
        let world = QueueWorld()
        let job = try world.accept()
        #expect(try world.state(job) == .available)
        #expect(world.statistics.waiting == 1 && world.audit == ["submitted"])
    }

    @Test("a record knows its action and its tags from the submission on")
    func record() throws {
        let world = QueueWorld()
        let job = try world.accept(tags: ["red", "blue"])
        let record = try #require(try world.record(job))
        #expect(record.action == "queue.noop" && record.tags == ["red", "blue"])
        #expect(record.submittedAt == world.now && record.startedAt == 0 && record.finishedAt == 0)
    }

    @Test("a job is known in its own workspace only")
    func otherWorkspace() throws {
        let world = QueueWorld()
        let job = try world.accept()
        #expect(try world.state(job, in: "other") == nil)
    }

    @Test("a record passes away after its retention")
    func retention() throws {
        let world = QueueWorld(limits: QueueLimits(retention: .seconds(3600)))
        try world.join()
        let job = try world.ended(.completed)
        world.advance(.seconds(3600))
        try world.accept()
        #expect(try world.state(job) == .completed)
        // Buckets of ten minutes and a little pass away as a whole.
        world.advance(.seconds(700))
        try world.accept()
        #expect(try world.state(job) == nil)
    }

    @Test("what waits keeps its record for however long")
    func keptWhileWaiting() throws {
        let world = QueueWorld(limits: QueueLimits(retention: .seconds(600)))
        let job = try world.accept()
        for _ in 0..<20 {
            world.advance(.seconds(300))
            _ = world.moveDue()
            try world.accept("other")
        }
        #expect(try world.state(job) == .available)
    }

    // MARK: - Request ids

    @Test("a repeated request is answered with the first job and its state")
    func duplicate() throws {
        let world = QueueWorld()
        let first = try world.submission(request: 7)
        #expect(world.submit(first) == .accepted(first.id))
        #expect(try world.submit(world.submission(request: 7)) == .duplicate(first.id, state: .available))
    }

    @Test("a repeated request stores nothing")
    func duplicateStoresNothing() throws {
        let world = QueueWorld()
        for _ in 0..<3 { _ = world.submit(try world.submission(request: 7)) }
        #expect(world.statistics.waiting == 1 && world.audit.count == 1)
    }

    @Test("a repeated request within one batch is a duplicate")
    func duplicateInBatch() throws {
        let world = QueueWorld()
        let first = try world.submission(request: 7)
        let results = world.machine.submit([first, try world.submission(request: 7)], at: world.now)
        #expect(results == [.accepted(first.id), .duplicate(first.id, state: .available)])
    }

    @Test("duplicates are counted")
    func duplicatesCounted() throws {
        let world = QueueWorld()
        for _ in 0..<4 { _ = world.submit(try world.submission(request: 7)) }
        #expect(world.statistics.duplicates == 3)
    }

    @Test("a request id with other params is a conflict that names the first job")
    func conflict() throws {
        let world = QueueWorld()
        let first = try world.submission(request: 7, params: 1)
        _ = world.submit(first)
        #expect(try world.submit(world.submission(request: 7, params: 2)) == .conflict(first: first.id))
        #expect(world.statistics.duplicates == 0)
    }

    @Test("each workspace has request ids of its own")
    func requestsByWorkspace() throws {
        let world = QueueWorld()
        _ = world.submit(try world.submission("acme", request: 7))
        let other = try world.submission("other", request: 7)
        #expect(world.submit(other) == .accepted(other.id))
    }

    @Test("a request id is remembered until its time has passed, to the millisecond")
    func idempotencyTime() throws {
        let world = QueueWorld(limits: QueueLimits(idempotency: .seconds(60)))
        let first = try world.submission(request: 7)
        _ = world.submit(first)
        world.advance(.milliseconds(59_999))
        #expect(try world.submit(world.submission(request: 7)) == .duplicate(first.id, state: .available))
        world.advance(.milliseconds(1))
        let second = try world.submission(request: 7)
        #expect(world.submit(second) == .accepted(second.id))
    }

    @Test("a request id is remembered after its job has ended")
    func duplicateOfEnded() throws {
        let world = QueueWorld()
        try world.join()
        let first = try world.submission(request: 7)
        _ = world.submit(first)
        try world.finish(try world.next())
        #expect(try world.submit(world.submission(request: 7)) == .duplicate(first.id, state: .completed))
    }

    @Test("a refused submission leaves its request id free")
    func refusedLeavesRequest() throws {
        let world = QueueWorld(limits: QueueLimits(streamLength: 1))
        try world.join()
        try world.accept()
        #expect(try world.submit(world.submission(request: 7)) == .full)
        try world.finish(try world.next())
        let again = try world.submission(request: 7)
        #expect(world.submit(again) == .accepted(again.id))
    }

    // MARK: - Unique keys

    @Test("while a job with a unique key has not ended no other is taken")
    func unique() throws {
        let world = QueueWorld()
        let first = try world.accept(unique: "deploy")
        #expect(try world.submit(world.submission(unique: "deploy")) == .notUnique(first, state: .available))
    }

    @Test(
        "a unique key is free again after each final end but one: an unknown outcome keeps it",
        arguments: [
            (Completion.End.completed, true), (.cancelled, true), (.discarded, true), (.unresolved, false),
        ])
    func uniqueAfterEnd(end: Completion.End, isFree: Bool) throws {
        let world = QueueWorld()
        try world.join()
        let first = try world.ended(end, unique: "deploy")
        let second = try world.submission(unique: "deploy")
        #expect(world.submit(second) == (isFree ? .accepted(second.id) : .notUnique(first, state: .unresolved)))
    }

    @Test(
        "a retry and a release keep the unique key",
        arguments: [
            Completion.End.retry(after: .seconds(1)), .released,
        ])
    func uniqueWhileRetried(end: Completion.End) throws {
        let world = QueueWorld()
        try world.join()
        let first = try world.ended(end, unique: "deploy")
        #expect(try world.submit(world.submission(unique: "deploy")) == .notUnique(first, state: end.state))
    }

    @Test("each workspace has unique keys of its own")
    func uniqueByWorkspace() throws {
        let world = QueueWorld()
        try world.accept("acme", unique: "deploy")
        try world.accept("other", unique: "deploy")
        #expect(world.statistics.waiting == 2)
    }

    @Test("a cancelled job gives its unique key back at once")
    func uniqueAfterCancel() throws {
        let world = QueueWorld()
        _ = try world.cancel(try world.accept(unique: "deploy"))
        try world.accept(unique: "deploy")
    }

    // MARK: - Bounds

    @Test("past its bound a stream takes nothing more, and that is counted")
    func full() throws {
        let world = QueueWorld(limits: QueueLimits(streamLength: 2))
        try world.accept()
        try world.accept()
        #expect(try world.submit(world.submission()) == .full)
        #expect(world.statistics.refused == 1 && world.audit.count == 2)
    }

    @Test("each priority and each workspace has a bound of its own")
    func fullByStream() throws {
        let world = QueueWorld(limits: QueueLimits(streamLength: 1))
        try world.accept()
        try world.accept(priority: .high)
        try world.accept("other")
        #expect(try world.submit(world.submission()) == .full)
    }

    @Test("what runs counts to the bound until it has ended")
    func runningCounts() throws {
        let world = QueueWorld(limits: QueueLimits(streamLength: 1))
        try world.join()
        try world.accept()
        let delivery = try world.next()
        #expect(try world.submit(world.submission()) == .full)
        try world.finish(delivery)
        try world.accept()
    }

    @Test("what waits for its time has the same bound")
    func fullOfDelayed() throws {
        let world = QueueWorld(limits: QueueLimits(streamLength: 2))
        for _ in 0..<2 { try world.accept(start: .after(.seconds(60))) }
        #expect(try world.submit(world.submission(start: .after(.seconds(60)))) == .full)
        try world.accept()
    }

    // MARK: - Delays

    @Test("a delayed job is scheduled, and comes in line when its time has come")
    func delayed() throws {
        let world = QueueWorld()
        try world.join()
        let job = try world.accept(start: .after(.seconds(60)))
        #expect(try world.state(job) == .scheduled)
        #expect(world.statistics.delayed == 1 && world.statistics.waiting == 0)
        world.advance(.milliseconds(59_999))
        #expect(world.moveDue() == 0)
        world.advance(.milliseconds(1))
        #expect(world.moveDue() == 1)
        #expect(try world.state(job) == .available)
        #expect(try world.next().jobID == job)
    }

    @Test("a job for a time waits until then, and a time that has passed is now")
    func atTime() throws {
        let world = QueueWorld()
        #expect(try world.state(try world.accept(start: .at(world.now + 5000))) == .scheduled)
        #expect(try world.state(try world.accept(start: .at(world.now))) == .available)
        #expect(try world.state(try world.accept(start: .at(world.now - 5000))) == .available)
        #expect(try world.state(try world.accept(start: .at(1))) == .available)
        #expect(try world.state(try world.accept(start: .after(.zero))) == .available)
    }

    @Test("due jobs come in line in the order of their times, so many at a call")
    func dueOrder() throws {
        let world = QueueWorld()
        try world.join()
        let late = try world.accept(start: .after(.seconds(3)))
        let early = try world.accept(start: .after(.seconds(1)))
        let middle = try world.accept(start: .after(.seconds(2)))
        world.advance(.seconds(5))
        #expect(world.moveDue(2) == 2)
        #expect(world.moveDue(2) == 1)
        #expect(try world.claim().deliveries.map(\.jobID) == [early, middle, late])
    }

    // MARK: - Schedules

    @Test("a tick is one job, however many nodes submit it")
    func tick() throws {
        let world = QueueWorld()
        let first = try world.submission(tick: world.now)
        #expect(world.submit(first) == .accepted(first.id))
        let second = try world.submission(tick: world.now)
        #expect(world.submit(second) == .duplicate(second.id, state: nil))
    }

    @Test("a tick before the last one makes no job")
    func earlierTick() throws {
        let world = QueueWorld()
        _ = world.submit(try world.submission(tick: world.now))
        let earlier = try world.submission(tick: world.now - 60_000)
        #expect(world.submit(earlier) == .duplicate(earlier.id, state: nil))
    }

    @Test("a new schedule begins with the time at which it was first asked for")
    func lastTick() throws {
        let world = QueueWorld()
        let tick = ScheduleTick(schedule: try DefinitionName("nightly"), workspace: try WorkspaceID("acme"), time: 0)
        let first = world.machine.lastTick(of: tick, at: world.now)
        let later = world.machine.lastTick(of: tick, at: world.now + 90_000)
        #expect(first == world.now && later == first)
    }

    @Test("the last tick is that of the last job, and a refused one is not done")
    func lastTickOfJob() throws {
        let world = QueueWorld(limits: QueueLimits(streamLength: 1))
        let tick = ScheduleTick(schedule: try DefinitionName("nightly"), workspace: try WorkspaceID("acme"), time: 0)
        _ = world.submit(try world.submission(tick: 60_000))
        #expect(try world.submit(world.submission(tick: 120_000)) == .full)
        let last = world.machine.lastTick(of: tick, at: world.now)
        #expect(last == 60_000)
    }
}
