import Domain
import JobsModel
import Testing

@testable import Jobs

@Suite("QueueMachine, interventions")
struct QueueInterventionTests {
    private func world() throws -> QueueWorld {
        let world = QueueWorld()
        try world.join()
        return world
    }

    // MARK: - Cancel

    @Test("a waiting job is cancelled at once, and is not delivered")
    func cancelWaiting() throws {
        let world = try self.world()
        let job = try world.accept()
        #expect(try world.cancel(job) == .available)
        let record = try #require(try world.record(job))
        #expect(record.state == .cancelled && record.reason == "cancelled: user" && record.finishedAt == world.now)
        let claim = try world.claim()
        #expect(claim.deliveries.isEmpty && claim.dropped == 1)
        #expect(world.audit == ["submitted", "asked", "cancelled"])
    }

    @Test("a cancelled job that never ran has no start")
    func cancelledNeverRan() throws {
        let world = try self.world()
        let job = try world.accept()
        _ = try world.cancel(job)
        #expect(try world.record(job)?.startedAt == 0)
    }

    @Test("a delayed job is cancelled at once, and does not come in line")
    func cancelDelayed() throws {
        let world = try self.world()
        let job = try world.accept(start: .after(.seconds(5)))
        #expect(try world.cancel(job) == .scheduled)
        world.advance(.seconds(5))
        _ = world.moveDue()
        #expect(try world.claim().deliveries.isEmpty)
        #expect(try world.state(job) == .cancelled)
    }

    @Test("the cancellation of a running job reaches its node, by the control stream and by its renewals")
    func cancelRunning() throws {
        let world = try self.world()
        let job = try world.accept()
        _ = try world.next()
        #expect(try world.cancel(job) == .running)
        #expect(world.machine.control == [job])
        #expect(try world.renew().cancelled == [job])
        #expect(try world.state(job) == .running)
        #expect(world.audit == ["submitted", "asked"])
    }

    @Test("other nodes' renewals say nothing of it")
    func cancelOnOtherNode() throws {
        let world = try self.world()
        try world.join("n2")
        let job = try world.accept()
        _ = try world.next()
        _ = try world.cancel(job)
        #expect(try world.renew("n2").cancelled.isEmpty)
    }

    @Test("a running job that ended before its node was notified keeps its end")
    func cancelTooLate() throws {
        let world = try self.world()
        let job = try world.accept()
        let delivery = try world.next()
        _ = try world.cancel(job)
        try world.finish(delivery)
        #expect(try world.state(job) == .completed)
        #expect(try world.renew().cancelled.isEmpty)
    }

    @Test("a cancelled job whose node died ends with its take-over, with its outcome's event")
    func cancelThenRescue() throws {
        let world = try self.world()
        let job = try world.accept()
        _ = try world.next()
        _ = try world.cancel(job)
        world.advance(.seconds(31))
        _ = world.rescue("n1")
        try world.join("n2")
        let claim = try world.claim(node: "n2")
        #expect(claim.deliveries.isEmpty && claim.dropped == 1)
        #expect(try world.state(job) == .cancelled)
        #expect(world.audit == ["submitted", "asked", "cancelled"])
    }

    @Test(
        "a cancelled job that is retried ends instead",
        arguments: [
            Completion.End.retry(after: .zero), .released,
        ])
    func cancelThenRetry(end: Completion.End) throws {
        let world = try self.world()
        let job = try world.accept()
        let delivery = try world.next()
        _ = try world.cancel(job)
        try world.finish(delivery, end)
        _ = world.moveDue()
        #expect(try world.claim().deliveries.isEmpty)
        #expect(try world.state(job) == .cancelled)
    }

    @Test(
        "what has ended is not cancelled, and nothing is noted",
        arguments: [
            Completion.End.completed, .discarded, .unresolved,
        ])
    func cancelEnded(end: Completion.End) throws {
        let world = try self.world()
        let job = try world.ended(end)
        let before = world.audit
        #expect(try world.cancel(job) == end.state)
        #expect(try world.state(job) == end.state && world.audit == before)
    }

    @Test("a job that is not known, or is another workspace's, is not cancelled")
    func cancelUnknown() throws {
        let world = try self.world()
        let job = try world.accept()
        #expect(try world.cancel(job, in: "other") == nil)
        #expect(try world.cancel(JobID(milliseconds: 1, randomHigh: 1, randomLow: 1)) == nil)
        #expect(try world.state(job) == .available)
    }

    // MARK: - Dead letters

    @Test("a discarded job is a dead letter with its reason", arguments: [Completion.End.discarded, .unresolved])
    func letter(end: Completion.End) throws {
        let world = try self.world()
        let job = try world.ended(end)
        let letter = try #require(try world.letters().first)
        #expect(letter.job == job && letter.state == end.state && letter.reason == "it broke")
        #expect(letter.action == "queue.noop" && letter.since == world.now)
    }

    @Test(
        "other ends leave no dead letter",
        arguments: [
            Completion.End.completed, .cancelled, .released, .retry(after: .zero),
        ])
    func noLetter(end: Completion.End) throws {
        let world = try self.world()
        _ = try world.ended(end)
        #expect(try world.letters().isEmpty)
    }

    @Test("dead letters are listed newest first, as many as asked, without their output")
    func letterList() throws {
        let world = try self.world()
        let jobs = try (0..<3).map { _ in try world.ended(.discarded, result: [1]) }
        let letters = try world.letters(limit: 2)
        #expect(letters.map(\.job) == [jobs[2], jobs[1]])
        #expect(letters.allSatisfy { $0.sealedOutput.isEmpty })
    }

    @Test("one dead letter is read with its output")
    func letterOutput() throws {
        let world = try self.world()
        let job = try world.ended(.discarded, result: [1, 2])
        #expect(try world.machine.deadLetter(job, in: WorkspaceID("acme"))?.sealedOutput == [1, 2])
        #expect(try world.machine.deadLetter(job, in: WorkspaceID("other")) == nil)
    }

    @Test("a requeued job runs again as if it never had, and its letter is gone")
    func requeue() throws {
        let world = try self.world()
        let job = try world.accept(tags: ["red"])
        try world.finish(try world.next(), .discarded, failures: 3, reason: "it broke", result: [1], tags: ["red"])
        #expect(try world.requeue(job) == .done)
        let record = try #require(try world.record(job))
        #expect(record.state == .available && record.failures == 0 && record.reason.isEmpty)
        #expect(record.tags == ["red"] && record.action == "queue.noop" && record.sealedResult.isEmpty)
        #expect(try world.letters().isEmpty)
        #expect(try world.next().failures == 0)
        #expect(world.audit.last == "requeued")
    }

    @Test("a requeued job keeps its priority")
    func requeuePriority() throws {
        let world = try self.world()
        let job = try world.accept(priority: .high)
        try world.finish(try world.next(), .discarded)
        _ = try world.requeue(job)
        #expect(try world.next().entry.priority == .high)
    }

    @Test("a requeued job takes its unique key again")
    func requeueUnique() throws {
        let world = try self.world()
        let job = try world.ended(.discarded, unique: "deploy")
        _ = try world.requeue(job)
        #expect(try world.submit(world.submission(unique: "deploy")) == .notUnique(job, state: .available))
    }

    @Test("a job whose unique key another one has is not requeued")
    func requeueTaken() throws {
        let world = try self.world()
        let job = try world.ended(.discarded, unique: "deploy")
        try world.accept(unique: "deploy")
        #expect(try world.requeue(job) == .isTaken)
        #expect(try world.letters().count == 1)
    }

    @Test("a dropped letter is gone, and its record stays")
    func drop() throws {
        let world = try self.world()
        let job = try world.ended(.discarded)
        #expect(try world.drop(job) == .done)
        #expect(try world.letters().isEmpty)
        #expect(try world.state(job) == .discarded && world.audit.last == "dropped")
    }

    @Test("what is no dead letter is neither requeued, dropped nor resolved, and nothing is noted")
    func absent() throws {
        let world = try self.world()
        let job = try world.ended(.completed)
        let before = world.audit
        #expect(try world.requeue(job) == .absent)
        #expect(try world.drop(job) == .absent)
        #expect(try !world.resolve(job, as: .done))
        #expect(world.audit == before)
    }

    @Test("a letter of another workspace is not touched")
    func otherWorkspace() throws {
        let world = try self.world()
        let job = try world.ended(.discarded)
        #expect(try world.requeue(job, in: "other") == .absent)
        #expect(try world.drop(job, in: "other") == .absent)
    }

    @Test("an unresolved job is neither requeued nor dropped")
    func unresolved() throws {
        let world = try self.world()
        let job = try world.ended(.unresolved)
        #expect(try world.requeue(job) == .isUnresolved)
        #expect(try world.drop(job) == .isUnresolved)
    }

    @Test(
        "a resolution ends the job in its state, or has it run again",
        arguments: zip(
            Resolution.allCases, [JobState.completed, .discarded, .available]))
    func resolve(resolution: Resolution, state: JobState) throws {
        let world = try self.world()
        let job = try world.ended(.unresolved)
        #expect(try world.resolve(job, as: resolution))
        #expect(try world.state(job) == state)
        #expect(try world.letters().isEmpty && world.audit.last == "resolved")
        #expect(try world.record(job)?.reason == (resolution == .retry ? "" : "seen"))
    }

    @Test("a job is resolved once, and a discarded one is not", arguments: Resolution.allCases)
    func resolveOnce(resolution: Resolution) throws {
        let world = try self.world()
        let job = try world.ended(.unresolved)
        _ = try world.resolve(job, as: resolution)
        #expect(try !world.resolve(job, as: resolution))
        #expect(try !world.resolve(try world.ended(.discarded), as: resolution))
    }

    @Test("a resolution gives the unique key back, unless the job runs again", arguments: Resolution.allCases)
    func resolveUnique(resolution: Resolution) throws {
        let world = try self.world()
        let job = try world.ended(.unresolved, unique: "deploy")
        _ = try world.resolve(job, as: resolution)
        let next = try world.submission(unique: "deploy")
        let expected: SubmissionResult =
            resolution == .retry ? .notUnique(job, state: .available) : .accepted(next.id)
        #expect(world.submit(next) == expected)
    }

    // MARK: - Quarantine

    @Test("a workspace in quarantine takes no jobs and starts none; others go on")
    func quarantine() throws {
        let world = try self.world()
        try world.accept()
        try world.accept("other")
        #expect(try world.quarantine())
        #expect(try world.submit(world.submission()) == .quarantined)
        #expect(try world.workspaces(9) == ["other"])
    }

    @Test("what runs when its workspace is put into quarantine may end")
    func quarantineRunning() throws {
        let world = try self.world()
        let job = try world.accept()
        let delivery = try world.next()
        try world.quarantine()
        #expect(try world.finish(delivery))
        #expect(try world.state(job) == .completed)
    }

    @Test("a released workspace goes on with what waited")
    func released() throws {
        let world = try self.world()
        try world.accept()
        try world.quarantine()
        #expect(try world.claim().deliveries.isEmpty)
        #expect(try world.quarantine(reason: nil))
        #expect(try world.claim().deliveries.count == 1)
        try world.accept()
    }

    @Test("a quarantine says whether it changed anything, and each is noted")
    func quarantineTwice() throws {
        let world = try self.world()
        #expect(try world.quarantine())
        #expect(try !world.quarantine(reason: "another"))
        #expect(try world.quarantine(reason: nil))
        #expect(try !world.quarantine(reason: nil))
        #expect(world.audit == ["quarantine", "quarantine", "quarantine", "quarantine"])
    }

    @Test("workspaces in quarantine are listed with their reasons, by name")
    func quarantineList() throws {
        let world = try self.world()
        try world.quarantine("b", reason: "two")
        try world.quarantine("a", reason: "")
        #expect(
            world.machine.quarantined == [
                Quarantine(workspace: "a", reason: "not given"), Quarantine(workspace: "b", reason: "two"),
            ])
    }

    @Test("an earlier life's jobs of a workspace in quarantine go back in line instead of to the node")
    func quarantineJoin() throws {
        let world = try self.world()
        let job = try world.accept()
        _ = try world.next()
        try world.quarantine()
        #expect(try world.join(life: 2).isEmpty)
        #expect(try world.state(job) == .available)
        #expect(world.statistics.running == 0)
    }

    // MARK: - Progress

    @Test("a running job's progress is its last, and ends with it")
    func progress() throws {
        let world = try self.world()
        let job = try world.accept()
        let delivery = try world.next()
        for percent in [10, 20] {
            let isNoted = world.machine.noteProgress(
                SealedProgress(percent: percent, sealedText: [1]), of: job, as: try world.identity(), at: world.now)
            #expect(isNoted)
        }
        #expect(try world.record(job)?.progress == SealedProgress(percent: 20, sealedText: [1], time: world.now))
        try world.finish(delivery)
        #expect(try world.record(job)?.progress == nil)
    }

    @Test("only the node that runs a job notes its progress")
    func progressOfOthers() throws {
        let world = try self.world()
        try world.join("n2")
        let job = try world.accept()
        let step = SealedProgress(percent: 1, sealedText: [])
        let waiting = world.machine.noteProgress(step, of: job, as: try world.identity(), at: world.now)
        _ = try world.next()
        let other = world.machine.noteProgress(step, of: job, as: try world.identity("n2"), at: world.now)
        let older = world.machine.noteProgress(step, of: job, as: try world.identity(life: 9), at: world.now)
        #expect(!waiting && !other && !older)
    }

    // MARK: - Lists and statistics

    @Test("jobs are listed newest first, and a list goes on after any of them")
    func list() throws {
        let world = try self.world()
        let jobs = Array(try (0..<4).map { _ in try world.accept() }.reversed())
        let acme = try WorkspaceID("acme")
        #expect(world.machine.jobs(in: acme, limit: 2, tag: nil).map(\.id) == Array(jobs[0..<2]))
        #expect(world.machine.jobs(in: acme, limit: 9, tag: nil, after: jobs[1]).map(\.id) == Array(jobs[2...]))
        #expect(world.machine.jobs(in: acme, limit: 9, tag: nil, after: jobs[3]).isEmpty)
    }

    @Test("a list after a job that is not known is empty")
    func listAfterUnknown() throws {
        let world = try self.world()
        try world.accept()
        let unknown = JobID(milliseconds: 1, randomHigh: 1, randomLow: 1)
        #expect(try world.machine.jobs(in: WorkspaceID("acme"), limit: 9, tag: nil, after: unknown).isEmpty)
    }

    @Test("jobs are found by each of their tags, in their workspace only")
    func tags() throws {
        let world = try self.world()
        let red = try world.accept(tags: ["red"])
        let both = try world.accept(tags: ["red", "blue"])
        try world.accept()
        try world.accept("other", tags: ["red"])
        let acme = try WorkspaceID("acme")
        #expect(try world.machine.jobs(in: acme, limit: 9, tag: JobTag("red")).map(\.id) == [both, red])
        #expect(try world.machine.jobs(in: acme, limit: 9, tag: JobTag("blue")).map(\.id) == [both])
        #expect(try world.machine.jobs(in: acme, limit: 9, tag: JobTag("green")).isEmpty)
    }

    @Test("a list holds no results")
    func listWithoutResults() throws {
        let world = try self.world()
        let job = try world.ended(.completed, result: [1, 2, 3])
        let listed = world.machine.jobs(in: try WorkspaceID("acme"), limit: 9, tag: nil)
        #expect(listed.map(\.id) == [job] && listed.allSatisfy { $0.sealedResult.isEmpty })
    }

    @Test("the oldest age is that of what has waited longest, and none when nothing waits")
    func oldestAge() throws {
        let world = try self.world()
        #expect(world.statistics.oldestAge == .zero)
        try world.accept()
        world.advance(.seconds(7))
        try world.accept()
        #expect(world.statistics.oldestAge == .seconds(7))
    }

    @Test("statistics of lanes add up, but for the oldest age")
    func sum() {
        var (left, right) = (QueueStatistics(), QueueStatistics())
        left.waiting = 1
        left.oldestAge = .seconds(3)
        left.duplicates = 4
        right.waiting = 2
        right.oldestAge = .seconds(2)
        right.deadLettersEvicted = 5
        let sum = left + right
        #expect(sum.waiting == 3 && sum.oldestAge == .seconds(3) && sum.duplicates == 4 && sum.deadLettersEvicted == 5)
    }

    @Test("events are taken in their order, and once")
    func takeAudit() throws {
        let world = try self.world()
        _ = try world.ended(.completed)
        let events = world.machine.takeAudit()
        #expect(events.map { String(decoding: $0, as: UTF8.self) } == ["submitted", "outcome"])
        #expect(world.audit.isEmpty)
    }

    @Test("the bell rings when a workspace gets work, and not for its next job")
    func bell() throws {
        let world = try self.world()
        let before = world.machine.wakeUps
        try world.accept()
        let first = world.machine.wakeUps
        try world.accept()
        #expect(first == before + 1 && world.machine.wakeUps == first)
        try world.accept("other")
        #expect(world.machine.wakeUps == first + 1)
    }
}
