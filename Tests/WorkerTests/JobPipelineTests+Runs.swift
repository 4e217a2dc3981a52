import Agents
import Domain
import Jobs
import JobsModel
import Sandboxing
import TestSupport
import Testing

@testable import Worker

/// Failures, crashes, cancellations and effects outside.
@Suite("JobPipeline, runs", .timeLimit(.minutes(5)))
struct JobPipelineRunTests {
    private func altered(
        _ delivery: Delivery, crashes: Int, isRecovered: Bool = true, isElsewhere: Bool = false
    ) -> Delivery {
        var altered = Delivery(
            workspace: delivery.workspace, jobID: delivery.jobID, entry: delivery.entry, envelope: delivery.envelope,
            crashes: crashes, failures: delivery.failures, isRecovered: isRecovered)
        altered.isElsewhere = isElsewhere
        return altered
    }

    // MARK: - Failures

    @Test("a failed run is retried after its delay, and counts")
    func retried() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.build")
            try bench.failLaunches(of: delivery)
            await bench.process(delivery)
            let record = try await bench.record(delivery)
            #expect(record.state == .retryable && record.failures == 1 && record.reason.hasSuffix(": closed"))
            let row = try #require(try await bench.audit().first)
            #expect(row["kind"]?.string == "job.attempt" && row["status"]?.string == "retryable")
            #expect(bench.metric("orchestra_job_retries_total") == "1")
        }
    }

    @Test("the delay doubles from attempt to attempt, and the last failure is a dead letter")
    func deadLetter() async throws {
        try await WorkerBench.with { bench in
            var delivery = try await bench.deliver("site.build")
            try bench.failLaunches(of: delivery)
            for pause in [1000, 2000] {
                await bench.process(delivery)
                bench.clock.advance(by: .milliseconds(pause - 1))
                #expect(try await bench.queue.moveDue(most: 9) == 0)
                bench.clock.advance(by: .milliseconds(1))
                #expect(try await bench.queue.moveDue(most: 9) == 1)
                delivery = try #require(try await bench.claim().first)
            }
            #expect(delivery.failures == 2)
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == .discarded)
            #expect(try await bench.record(delivery).failures == 3)
            let letter = try #require(await bench.queue.deadLetters(in: delivery.workspace, limit: 9).first)
            #expect(letter.job == delivery.jobID && letter.state == .discarded && letter.reason.hasSuffix(": closed"))
            #expect(
                try await bench.audit().map { $0["kind"]?.string } == ["job.attempt", "job.attempt", "job.outcome"])
        }
    }

    @Test("an action with one attempt is a dead letter after its first failure")
    func once() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.once")
            try bench.failLaunches(of: delivery)
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == .discarded)
        }
    }

    @Test("a run that reaches its time limit is ended and counts as a failure")
    func timeout() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.build")
            try await bench.interrupt(delivery) { bench.clock.advance(by: .seconds(60)) }
            let record = try await bench.record(delivery)
            #expect(record.state == .retryable && record.failures == 1 && record.reason == "the time limit was reached")
        }
    }

    // MARK: - Launches

    @Test("a job that this node cannot launch goes back uncounted, and the node claims nothing until it can")
    func notStarted() async throws {
        try await WorkerBench.with { bench in
            bench.gate.close("closed")
            for action in ["site.build", "site.once", "mail.send"] {
                let delivery = try await bench.deliver(action)
                await bench.process(delivery)
                let record = try await bench.record(delivery)
                #expect(record.state == .available && record.failures == 0, "\(action)")
                #expect(bench.launchPause.reason == "this node cannot launch programs: closed")
                _ = try await bench.claim()
            }
            #expect(try await bench.audit().isEmpty)
        }
    }

    @Test(
        "a node that cannot launch a job is not the home of its workspace any more, unless it has files of it",
        arguments: [true, false])
    func leavesHome(hasFile: Bool) async throws {
        try await WorkerBench.with(limits: QueueLimits(homes: .move(after: .seconds(600)))) { bench in
            bench.gate.close("closed")
            let delivery = try await bench.deliver("site.build")
            if hasFile {
                try HostFiles.makeDirectory(bench.agents.workspaces + "/acme")
                try HostFiles.replace(bench.agents.workspaces + "/acme/file", with: [1])
            }
            await bench.process(delivery)
            // The attempt made the directory where there was none.
            let names = try HostFiles.names(in: bench.agents.workspaces + "/acme")
            #expect(names == (hasFile ? ["file"] : []))
            #expect(await bench.queue.homes().map(\.isHome) == [hasFile])
        }
    }

    @Test("a job that cannot be launched again and again is the cause itself, and its run fails")
    func returnedTooOften() async throws {
        try await WorkerBench.with { bench in
            bench.gate.close("closed")
            var delivery = try await bench.deliver("site.once")
            for _ in 0..<LaunchPause.returnsPerJob {
                await bench.process(delivery)
                #expect(try await bench.state(delivery) == .available)
                delivery = try #require(try await bench.claim().first)
            }
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == .discarded)
        }
    }

    // MARK: - Cancellation

    @Test("a user's cancellation ends the run, and the job is cancelled")
    func cancelledByUser() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.build")
            try await bench.interrupt(delivery) { await bench.registry.cancel(try #require(delivery.jobID), .user) }
            #expect(try await bench.state(delivery) == .cancelled)
            #expect(try await bench.record(delivery).reason == "cancelled: user")
        }
    }

    @Test("a job that was cancelled before its run began is cancelled without one")
    func cancelledBefore() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.build")
            await bench.registry.cancel(try #require(delivery.jobID), .user)
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == .cancelled)
        }
    }

    @Test("an incident in its workspace cancels the job")
    func cancelledBySecurity() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.build")
            try await bench.interrupt(delivery) { await bench.registry.cancelAll(of: delivery.workspace, .security) }
            #expect(try await bench.record(delivery).reason == "cancelled: security")
        }
    }

    @Test("a drain releases the job uncounted, without an audit row, and another node runs it")
    func drained() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.build")
            try await bench.interrupt(delivery) { await bench.registry.cancelAll(.drain) }
            let record = try await bench.record(delivery)
            #expect(record.state == .available && record.failures == 0)
            #expect(try await bench.audit().isEmpty)
            #expect(bench.metric("orchestra_audit_rows_total") == "0")
            #expect(try await bench.claim().count == 1)
        }
    }

    @Test("without its lease nothing is written, and the slot is free")
    func leaseLost() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.build")
            try await bench.interrupt(delivery) {
                _ = await bench.registry.dropLost(asked: [delivery.entry], known: [])
            }
            #expect(await bench.queue.count(of: .finish) == 0)
            #expect(await bench.registry.count == 0)
        }
    }

    // MARK: - Crashes

    @Test("a job under which its node died less than three times is run again", arguments: [1, 2])
    func fewCrashes(crashes: Int) async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            await bench.process(self.altered(delivery, crashes: crashes))
            #expect(try await bench.state(delivery) == .completed)
        }
    }

    @Test("a job under which its node died three times is kept for a person")
    func manyCrashes() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            await bench.process(self.altered(delivery, crashes: 3))
            #expect(try await bench.state(delivery) == .discarded)
            #expect(await bench.queue.deadLetters(in: delivery.workspace, limit: 1).count == 1)
        }
    }

    @Test("a job that does not run here any more goes to the new home of its workspace, uncounted")
    func elsewhere() async throws {
        try await WorkerBench.with { bench in
            for action in ["queue.noop", "site.build"] {
                let delivery = try await bench.deliver(action)
                await bench.process(self.altered(delivery, crashes: 1, isElsewhere: true))
                let record = try await bench.record(delivery)
                #expect(record.state == .available && record.failures == 0, "\(action)")
                _ = try await bench.claim()
            }
            #expect(try await bench.audit().isEmpty)
            #expect(bench.launchPause.reason == nil)
            // What may have taken effect here is for a person to decide, wherever the home is.
            let once = try await bench.deliver("site.once")
            await bench.process(self.altered(once, crashes: 1, isElsewhere: true))
            #expect(try await bench.state(once) == .unresolved)
        }
    }

    // MARK: - Effects outside

    @Test("an external effect whose node died is unresolved, and not run again")
    func externalCrash() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("mail.send")
            try bench.failLaunches(of: delivery)
            await bench.process(self.altered(delivery, crashes: 1))
            #expect(try await bench.state(delivery) == .unresolved)
            #expect(bench.metric("orchestra_dead_letters_total", #"{reason="unresolved"}"#) == "1")
        }
    }

    @Test("an external effect that reached its time limit is unresolved")
    func externalTimeout() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("mail.send")
            try await bench.interrupt(delivery) { bench.clock.advance(by: .seconds(60)) }
            #expect(try await bench.state(delivery) == .unresolved)
        }
    }

    @Test("an external effect that a drain cut off is unresolved")
    func externalDrain() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("mail.send")
            try await bench.interrupt(delivery) { await bench.registry.cancelAll(.drain) }
            #expect(try await bench.state(delivery) == .unresolved)
        }
    }

    @Test("an external effect that a user cancelled is cancelled")
    func externalCancel() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("mail.send")
            try await bench.interrupt(delivery) { await bench.registry.cancel(try #require(delivery.jobID), .user) }
            #expect(try await bench.state(delivery) == .cancelled)
        }
    }

    @Test("an external effect that failed before it began is retried")
    func externalFailure() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("mail.send")
            try bench.failLaunches(of: delivery)
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == .retryable)
        }
    }

    @Test("an external effect that was cancelled before its run began by a drain is released")
    func externalNotBegun() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("mail.send")
            await bench.registry.cancel(try #require(delivery.jobID), .drain)
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == .available)
        }
    }

    @Test("a write that is tried once and whose node died is unresolved")
    func onceCrashed() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.once")
            await bench.process(self.altered(delivery, crashes: 1))
            #expect(try await bench.state(delivery) == .unresolved)
        }
    }

    @Test("a write that is tried once and that a drain cut off is unresolved")
    func onceDrained() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.once")
            try await bench.interrupt(delivery) { await bench.registry.cancelAll(.drain) }
            #expect(try await bench.state(delivery) == .unresolved)
        }
    }

    @Test("a job that its submitter lets run once has one attempt, also after its time ran out")
    func submitterForbids() async throws {
        try await WorkerBench.with { bench in
            for (isRepeatable, state) in [(false, JobState.discarded), (nil, .retryable)] as [(Bool?, JobState)] {
                let delivery = try await bench.deliver("site.build", isRepeatable: isRepeatable)
                try bench.failLaunches(of: delivery)
                await bench.process(delivery)
                #expect(try await bench.state(delivery) == state)
            }
        }
    }

    // MARK: - Handing back

    @Test("released deliveries go back in line unrun and uncounted")
    func release() async throws {
        try await WorkerBench.with { bench in
            for _ in 0..<3 { try await bench.submit("site.build") }
            let deliveries = try await bench.claim()
            await bench.pipeline.release(deliveries)
            await bench.write()
            #expect(await bench.registry.count == 0)
            #expect(await bench.queue.statistics().waiting == 3)
            let again = try await bench.claim()
            #expect(again.count == 3 && again.allSatisfy { $0.failures == 0 && $0.crashes == 0 })
        }
    }
}
