import Domain
import Jobs
import Testing
import Worker

/// Lets a test's expectations call the machine's mutating methods.
private final class JobRunBox {
    private var machine = JobRunMachine()

    var state: JobRunMachine.State { self.machine.state }
    func started() -> Bool { self.machine.started() }
    func cancelled(_ reason: CancellationReason) -> JobRunMachine.Action { self.machine.cancelled(reason) }
    func ended(_ outcome: Outcome) -> Outcome { self.machine.ended(outcome) }
}

@Suite("A job's run")
struct JobRunMachineTests {
    private static let done = Outcome.completed(result: [])
    private static let reasons: [CancellationReason] = [.user, .timeout, .drain, .leaseLost]

    @Test("the handler's outcome counts when nothing came before it")
    func outcome() {
        let machine = JobRunBox()
        let hasStarted = machine.started()
        let outcome = machine.ended(Self.done)
        #expect(hasStarted && outcome == Self.done && machine.state == .ended)
    }

    @Test("each cancellation of a running job cancels its handler once", arguments: reasons)
    func cancelRunning(reason: CancellationReason) {
        let machine = JobRunBox()
        _ = machine.started()
        #expect(machine.cancelled(reason) == .cancelHandler)
        #expect(machine.cancelled(.user) == .none)
        #expect(machine.ended(.cancelled(.drain)) == .cancelled(reason))
    }

    @Test("before the start there is nothing to cancel, and it does not start any more", arguments: reasons)
    func cancelWaiting(reason: CancellationReason) {
        let machine = JobRunBox()
        #expect(machine.cancelled(reason) == .endUnstarted(reason))
        #expect(!machine.started())
    }

    @Test("a lost lease outranks every other reason and every result")
    func leaseLost() {
        let machine = JobRunBox()
        _ = machine.started()
        _ = machine.cancelled(.drain)
        _ = machine.cancelled(.leaseLost)
        #expect(machine.ended(Self.done) == .cancelled(.leaseLost))
    }

    @Test("a handler that finished before it noticed keeps its result")
    func finishedFirst() {
        let machine = JobRunBox()
        _ = machine.started()
        _ = machine.cancelled(.timeout)
        #expect(machine.ended(Self.done) == Self.done)
    }

    @Test("after the end nothing is cancelled", arguments: reasons)
    func ended(reason: CancellationReason) {
        let machine = JobRunBox()
        _ = machine.started()
        _ = machine.ended(Self.done)
        #expect(machine.cancelled(reason) == .none)
    }
}
