import Domain
import TestSupport
import Testing

@testable import Worker

@Suite("JobRun", .timeLimit(.minutes(5)))
struct JobRunTests {
    private static let done = Outcome.completed(result: Array("1".utf8))

    private func run(_ clock: VirtualClock) throws -> JobRun {
        JobRun(
            entry: EntryReference(
                workspace: try WorkspaceID("acme"), priority: .normal, id: EntryID(milliseconds: 1, sequence: 0)),
            clock: clock)
    }

    /// A handler that runs until it is cancelled.
    private static let untilCancelled: @Sendable () async -> Outcome = {
        let (never, keeper) = AsyncStream<Void>.makeStream()
        for await _ in never {}
        keeper.finish()
        return .cancelled(.drain)
    }

    @Test("the handler's outcome is the run's")
    func outcome() async throws {
        let run = try self.run(VirtualClock())
        #expect(await run.run(timeout: .seconds(1)) { Self.done } == Self.done)
    }

    @Test("the time limit cancels the handler when it is reached, and not before")
    func timeout() async throws {
        let clock = VirtualClock()
        let run = try self.run(clock)
        async let outcome = run.run(timeout: .seconds(60), Self.untilCancelled)
        await clock.waitForSleeper()
        clock.advance(by: .milliseconds(59_999))
        #expect(clock.sleepers == 1)
        clock.advance(by: .milliseconds(1))
        #expect(await outcome == .cancelled(.timeout))
    }

    @Test("the timer ends with the run")
    func timerEnds() async throws {
        let clock = VirtualClock()
        let run = try self.run(clock)
        _ = await run.run(timeout: .seconds(60)) {
            await clock.waitForSleeper()
            return Self.done
        }
        await until { clock.sleepers == 0 }
    }

    @Test(
        "a cancellation ends a running handler with its reason",
        arguments: [
            CancellationReason.user, .drain, .security, .leaseLost,
        ])
    func cancel(reason: CancellationReason) async throws {
        let clock = VirtualClock()
        let run = try self.run(clock)
        async let outcome = run.run(timeout: .seconds(60), Self.untilCancelled)
        await clock.waitForSleeper()
        await run.cancel(reason)
        #expect(await outcome == .cancelled(reason))
    }

    @Test("a run that was cancelled before it began runs no handler")
    func cancelledBefore() async throws {
        let run = try self.run(VirtualClock())
        await run.cancel(.user)
        let outcome = await run.run(timeout: .seconds(1)) {
            Issue.record("the handler was run")
            return Self.done
        }
        #expect(outcome == .cancelled(.user))
    }

    @Test("cancelling the caller's task cancels the handler, whose outcome counts")
    func cancelledCaller() async throws {
        let clock = VirtualClock()
        let run = try self.run(clock)
        let outcome = await withTaskGroup(of: Outcome.self) { group in
            group.addTask { await run.run(timeout: .seconds(60), Self.untilCancelled) }
            await clock.waitForSleeper()
            group.cancelAll()
            return await group.next()
        }
        #expect(outcome == .cancelled(.drain))
    }
}

@Suite("JobRunMachine, every state and every event")
struct JobRunMachineTableTests {
    enum State: CaseIterable {
        case waiting, running, cancelling, ended
    }

    private func machine(in state: State) -> JobRunMachine {
        var machine = JobRunMachine()
        switch state {
        case .waiting: break
        case .running: _ = machine.started()
        case .cancelling:
            _ = machine.started()
            _ = machine.cancelled(.user)
        case .ended:
            _ = machine.started()
            _ = machine.ended(.completed(result: []))
        }
        return machine
    }

    @Test("only a waiting run starts", arguments: State.allCases)
    func start(state: State) {
        var machine = self.machine(in: state)
        let hasStarted = machine.started()
        #expect(hasStarted == (state == .waiting))
    }

    @Test("a refused start changes nothing", arguments: [State.running, .cancelling, .ended])
    func refusedStart(state: State) {
        var machine = self.machine(in: state)
        let before = machine.state
        _ = machine.started()
        #expect(machine.state == before)
    }

    @Test(
        "a cancellation ends a waiting run, cancels a running one, and does nothing later",
        arguments: zip(State.allCases, [JobRunMachine.Action.endUnstarted(.drain), .cancelHandler, .none, .none]))
    func cancel(state: State, expected: JobRunMachine.Action) {
        var machine = self.machine(in: state)
        let action = machine.cancelled(.drain)
        #expect(action == expected)
    }

    @Test("of two reasons the first counts")
    func firstReason() {
        var machine = self.machine(in: .cancelling)
        _ = machine.cancelled(.timeout)
        #expect(machine.state == .cancelling(.user))
    }

    @Test("a failure after a cancellation is the cancellation")
    func failedWhileCancelling() {
        var machine = self.machine(in: .cancelling)
        let outcome = machine.ended(.failed(Failure(reason: "it broke", isRetryable: true)))
        #expect(outcome == .cancelled(.user))
    }

    @Test(
        "without a cancellation every outcome is kept",
        arguments: [
            Outcome.completed(result: [1]), .failed(Failure(reason: "x", isRetryable: false)), .refused(reason: "x"),
            .unknown(reason: "x"), .cancelled(.drain),
        ])
    func keptOutcome(outcome: Outcome) {
        var machine = self.machine(in: .running)
        let kept = machine.ended(outcome)
        #expect(kept == outcome && machine.state == .ended)
    }
}
