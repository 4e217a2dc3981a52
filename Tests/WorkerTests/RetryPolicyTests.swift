import Domain
import Jobs
import Testing

@testable import Worker

/// A delivery with these counts, and its report.
private func report(
    _ outcome: Outcome, failures: Int = 0, crashes: Int = 0, maxAttempts: Int = 3, job: JobID? = nil
) throws -> RunReport {
    let workspace = try WorkspaceID("acme")
    let delivery = Delivery(
        workspace: workspace, jobID: job,
        entry: EntryReference(workspace: workspace, priority: .normal, id: EntryID(milliseconds: 1, sequence: 0)),
        envelope: [], crashes: crashes, failures: failures, isRecovered: false)
    var report = RunReport(delivery: delivery, startedAt: 1000)
    report.outcome = outcome
    report.maxAttempts = maxAttempts
    return report
}

private let failure = Outcome.failed(Failure(reason: "it broke", isRetryable: true))

@Suite("RetryPolicy")
struct RetryPolicyTests {
    private let policy = RetryPolicy(jitter: { 1 })

    @Test("a completed run completes the job")
    func completed() throws {
        #expect(try self.policy.end(of: report(.completed(result: []))) == .completed)
    }

    @Test("a refused run discards the job, whatever attempts are left")
    func refused() throws {
        #expect(try self.policy.end(of: report(.refused(reason: "no"), maxAttempts: 25)) == .discarded)
    }

    @Test("an unknown outcome waits for a person, whatever attempts are left")
    func unknown() throws {
        #expect(try self.policy.end(of: report(.unknown(reason: "?"), maxAttempts: 25)) == .unresolved)
    }

    @Test("a user and the security watch cancel the job", arguments: [CancellationReason.user, .security])
    func cancelled(reason: CancellationReason) throws {
        #expect(try self.policy.end(of: report(.cancelled(reason))) == .cancelled)
    }

    @Test("a drain and a lost lease release the job", arguments: [CancellationReason.drain, .leaseLost])
    func released(reason: CancellationReason) throws {
        #expect(try self.policy.end(of: report(.cancelled(reason))) == .released)
    }

    @Test("a failure that cannot be cured discards the job at once")
    func permanentFailure() throws {
        let outcome = Outcome.failed(Failure(reason: "no such file", isRetryable: false))
        #expect(try self.policy.end(of: report(outcome)) == .discarded)
    }

    @Test("a failure and a timeout are retried while attempts are left", arguments: [failure, .cancelled(.timeout)])
    func retried(outcome: Outcome) throws {
        #expect(try self.policy.end(of: report(outcome, failures: 1)) == .retry(after: .seconds(2)))
    }

    @Test("the last attempt discards the job", arguments: [failure, .cancelled(.timeout)])
    func lastAttempt(outcome: Outcome) throws {
        #expect(try self.policy.end(of: report(outcome, failures: 2)) == .discarded)
    }

    @Test("more failures than attempts, after a change of the policy, discard the job")
    func tooManyFailures() throws {
        #expect(try self.policy.end(of: report(failure, failures: 9)) == .discarded)
    }

    @Test("an action with one attempt is never retried")
    func oneAttempt() throws {
        #expect(try self.policy.end(of: report(failure, maxAttempts: 1)) == .discarded)
    }

    @Test("the delay doubles with each failure", arguments: zip(0...5, [1, 2, 4, 8, 16, 32]))
    func backoff(failures: Int, seconds: Int) throws {
        let end = self.policy.end(of: try report(failure, failures: failures, maxAttempts: 25))
        #expect(end == .retry(after: .seconds(seconds)))
    }

    @Test(
        "the delay has an upper bound, and many failures do not overflow it", arguments: [10, 20, 63, 64, 1_000_000])
    func longestDelay(failures: Int) throws {
        let end = self.policy.end(of: try report(failure, failures: failures, maxAttempts: .max))
        #expect(end == .retry(after: .seconds(600)))
    }

    @Test("the jitter is a factor of the whole delay", arguments: [0.0, 0.25, 1.0])
    func jitter(factor: Double) throws {
        let policy = RetryPolicy(firstDelay: .seconds(4), jitter: { factor })
        #expect(try policy.end(of: report(failure)) == .retry(after: .seconds(4) * factor))
    }

    @Test("a crash of the node is no failed attempt")
    func crashes() throws {
        #expect(try self.policy.end(of: report(failure, crashes: 9)) == .retry(after: .seconds(1)))
    }

    @Test("a postponement comes before every outcome")
    func postponement() throws {
        var postponed = try report(.completed(result: []))
        postponed.postponement = .milliseconds(700)
        #expect(self.policy.end(of: postponed) == .retry(after: .milliseconds(700)))
    }
}

@Suite("RunReport")
struct RunReportTests {
    @Test("what was not decided is refused")
    func undecided() throws {
        let workspace = try WorkspaceID("acme")
        let delivery = Delivery(
            workspace: workspace, jobID: nil,
            entry: EntryReference(workspace: workspace, priority: .normal, id: EntryID(milliseconds: 1, sequence: 0)),
            envelope: [], crashes: 0, failures: 0, isRecovered: false)
        let fresh = RunReport(delivery: delivery, startedAt: 0)
        guard case .refused = fresh.outcome else { return #expect(Bool(false)) }
        #expect(fresh.rule == "none" && fresh.maxAttempts == 1)
    }

    @Test("a refusal names its rule")
    func refusal() throws {
        var refused = try report(.completed(result: []))
        refused.refuse("not here", rule: "allow-list")
        #expect(refused.outcome == .refused(reason: "not here") && refused.rule == "allow-list")
    }

    @Test("failures and timeouts count as failed attempts, nothing else does")
    func failures() throws {
        let outcomes: [(Outcome, Bool)] = [
            (failure, true), (.cancelled(.timeout), true), (.cancelled(.user), false), (.cancelled(.drain), false),
            (.cancelled(.security), false), (.cancelled(.leaseLost), false), (.completed(result: []), false),
            (.refused(reason: ""), false), (.unknown(reason: ""), false),
        ]
        for (outcome, expected) in outcomes { #expect(try report(outcome).isFailure == expected) }
    }

    @Test("a success has no reason")
    func noReason() throws { #expect(try report(.completed(result: [])).reason.isEmpty) }

    @Test(
        "a reason from outside has at most 500 characters and no control character",
        arguments: [
            Outcome.refused(reason: String(repeating: "a\n", count: 2000)),
            .unknown(reason: String(repeating: "a\n", count: 2000)),
            .failed(Failure(reason: String(repeating: "a\n", count: 2000), isRetryable: true)),
        ])
    func boundedReason(outcome: Outcome) throws {
        let reason = try report(outcome).reason
        #expect(reason.unicodeScalars.count <= 501 && !reason.contains("\n"))
    }

    @Test("a cancellation's reason names who asked")
    func cancellationReason() throws {
        #expect(try report(.cancelled(.user)).reason == "cancelled: user")
        #expect(try report(.cancelled(.security)).reason == "cancelled: security")
    }

    @Test("a result and a failure's output are sealed, and nothing else")
    func detail() throws {
        #expect(try report(.completed(result: [1])).detail == [1])
        #expect(try report(.failed(Failure(reason: "", isRetryable: true, detail: [2]))).detail == [2])
        #expect(try report(.refused(reason: "x")).detail == nil)
        #expect(try report(.unknown(reason: "x")).detail == nil)
        #expect(try report(.cancelled(.user)).detail == nil)
    }

    @Test("the run time of a clock that was set back is zero")
    func runTime() throws {
        let run = try report(.completed(result: []))
        #expect(run.runTime(until: 1500) == .milliseconds(500))
        #expect(run.runTime(until: 900) == .zero)
    }

    @Test("without a job that can be read its id gives the time of the submission")
    func submittedAt() throws {
        let id = JobID(milliseconds: 12_345, randomHigh: 0, randomLow: 0)
        let known = try report(failure, job: id)
        #expect(known.submittedAt == 12_345 && known.idText == id.description)
        let unknown = try report(failure)
        #expect(unknown.submittedAt == 0 && unknown.idText == "unknown")
    }
}

@Suite("KeyLookupBackoff")
struct KeyLookupBackoffTests {
    @Test("a pause is as long as the outage so far, from half a second to ten")
    func doubling() throws {
        let backoff = KeyLookupBackoff()
        let acme = try WorkspaceID("acme")
        var now: UInt64 = 1_000_000
        var pauses: [Duration] = []
        for _ in 0..<7 {
            let pause = backoff.failed(acme, at: now)
            pauses.append(pause)
            now += UInt64(pause.milliseconds)
        }
        #expect(pauses.map(\.milliseconds) == [500, 500, 1000, 2000, 4000, 8000, 10_000])
    }

    @Test("jobs that fail at one moment share a pause, and do not lengthen it")
    func shared() throws {
        let backoff = KeyLookupBackoff()
        let pauses = try (0..<1000).map { _ in backoff.failed(try WorkspaceID("acme"), at: 5_000_000) }
        #expect(Set(pauses) == [.milliseconds(500)])
    }

    @Test("a look-up that succeeds ends the outage")
    func success() throws {
        let backoff = KeyLookupBackoff()
        let acme = try WorkspaceID("acme")
        _ = backoff.failed(acme, at: 1_000_000)
        backoff.succeeded(acme)
        #expect(backoff.failed(acme, at: 1_008_000) == .milliseconds(500))
    }

    @Test("each workspace has its own outage")
    func workspaces() throws {
        let backoff = KeyLookupBackoff()
        _ = backoff.failed(try WorkspaceID("acme"), at: 1_000_000)
        backoff.succeeded(try WorkspaceID("other"))
        #expect(try backoff.failed(WorkspaceID("other"), at: 1_008_000) == .milliseconds(500))
        #expect(try backoff.failed(WorkspaceID("acme"), at: 1_008_000) == .milliseconds(8000))
    }

    @Test(
        "after a long gap, or with a clock that was set back, it is another outage",
        arguments: [
            UInt64(1_040_000), 900_000,
        ])
    func otherOutage(now: UInt64) throws {
        let backoff = KeyLookupBackoff()
        let acme = try WorkspaceID("acme")
        _ = backoff.failed(acme, at: 1_000_000)
        #expect(backoff.failed(acme, at: now) == .milliseconds(500))
    }
}
