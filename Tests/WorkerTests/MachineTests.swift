import Domain
import Jobs
import Testing
import Worker

@testable import Workspaces

/// Lets a test's expectations call the machine's mutating methods.
private final class JobRunBox {
    private var machine = JobRunMachine()

    var state: JobRunMachine.State { self.machine.state }
    func started() -> Bool { self.machine.started() }
    func cancelled(_ reason: CancellationReason) -> JobRunMachine.Action { self.machine.cancelled(reason) }
    func ended(_ outcome: Outcome) -> Outcome { self.machine.ended(outcome) }
}

/// The same for a workspace's machine.
private final class WorkspaceBox {
    private var machine: WorkspaceMachine<Int>

    init(concurrency: Int, capacity: Int) {
        self.machine = WorkspaceMachine(concurrency: concurrency, capacity: capacity)
    }

    var running: Int { self.machine.running }
    var waiting: Int { self.machine.waiting }
    func received(_ items: [Int]) -> WorkspaceMachine<Int>.Admission { self.machine.received(items) }
    func finished() -> Int? { self.machine.finished() }
    func drained() -> [Int] { self.machine.drained() }
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

@Suite("A workspace's admission")
struct WorkspaceMachineTests {
    @Test("as many run as may, the rest waits in order, and what does not fit goes back")
    func admission() {
        let machine = WorkspaceBox(concurrency: 2, capacity: 3)
        guard case .runAndReturn(let run, let refused) = machine.received([1, 2, 3, 4, 5, 6, 7]) else {
            return #expect(Bool(false))
        }
        #expect(run == [1, 2] && refused == [6, 7] && machine.waiting == 3)
        let order = [
            machine.finished(), machine.finished(), machine.finished(), machine.finished(), machine.finished(),
        ]
        #expect(order == [3, 4, 5, nil, nil])
        #expect(machine.running == 0)
        guard case .run(let next) = machine.received([8]) else { return #expect(Bool(false)) }
        #expect(next == [8])
    }

    @Test("a drain gives back what waits and admits nothing more")
    func drain() {
        let machine = WorkspaceBox(concurrency: 1, capacity: 5)
        _ = machine.received([1, 2, 3])
        #expect(machine.drained() == [2, 3])
        guard case .runAndReturn(let run, let refused) = machine.received([4]) else { return #expect(Bool(false)) }
        #expect(run.isEmpty && refused == [4])
        #expect(machine.finished() == nil && machine.running == 0)
    }
}
