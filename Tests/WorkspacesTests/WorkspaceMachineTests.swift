import Testing

@testable import Workspaces

/// Lets expectations call the machine's mutating methods.
private final class Machine {
    private var machine: WorkspaceMachine<Int>

    init(concurrency: Int, capacity: Int) {
        self.machine = WorkspaceMachine(concurrency: concurrency, capacity: capacity)
    }

    var running: Int { self.machine.running }
    var waiting: Int { self.machine.waiting }
    var isDraining: Bool { self.machine.isDraining }

    /// What runs of a batch, and what goes back.
    func receive(_ items: [Int]) -> [[Int]] {
        switch self.machine.received(items) {
        case .run(let run): [run, []]
        case .runAndReturn(let run, let refused): [run, refused]
        }
    }

    func finish() -> Int? { self.machine.finished() }
    func drain() -> [Int] { self.machine.drained() }
}

@Suite("WorkspaceMachine")
struct WorkspaceMachineTests {
    /// A machine of two at once and three that wait, in one of its states.
    enum State: CaseIterable {
        case idle, running, busy, waiting, full, draining
    }

    private func machine(in state: State) -> Machine {
        let machine = Machine(concurrency: 2, capacity: 3)
        switch state {
        case .idle: break
        case .running: _ = machine.receive([1])
        case .busy: _ = machine.receive([1, 2])
        case .waiting: _ = machine.receive([1, 2, 3])
        case .full: _ = machine.receive([1, 2, 3, 4, 5])
        case .draining:
            _ = machine.receive([1, 2, 3])
            _ = machine.drain()
        }
        return machine
    }

    @Test(
        "a batch of three runs, waits and goes back as there is room",
        arguments: zip(
            State.allCases,
            [
                [[7, 8], []], [[7], []], [[], []], [[], [9]], [[], [7, 8, 9]], [[], [7, 8, 9]],
            ]))
    func received(state: State, expected: [[Int]]) {
        #expect(self.machine(in: state).receive([7, 8, 9]) == expected)
    }

    @Test(
        "after a batch of three so many run and wait",
        arguments: zip(
            State.allCases, [[2, 1], [2, 2], [2, 3], [2, 3], [2, 3], [2, 0]]))
    func counts(state: State, expected: [Int]) {
        let machine = self.machine(in: state)
        _ = machine.receive([7, 8, 9])
        #expect([machine.running, machine.waiting] == expected)
    }

    @Test(
        "the end of a run starts what waited longest",
        arguments: zip(
            [State.running, .busy, .waiting, .full, .draining], [nil, nil, 3, 3, nil]))
    func finished(state: State, expected: Int?) {
        #expect(self.machine(in: state).finish() == expected)
    }

    @Test(
        "the end of a run frees its place unless another one takes it",
        arguments: zip(
            [State.running, .busy, .waiting, .full, .draining], [[0, 0], [1, 0], [2, 0], [2, 2], [1, 0]]))
    func countsAfterFinish(state: State, expected: [Int]) {
        let machine = self.machine(in: state)
        _ = machine.finish()
        #expect([machine.running, machine.waiting] == expected)
    }

    @Test(
        "a drain gives back what waits, in order",
        arguments: zip(
            State.allCases, [[], [], [], [3], [3, 4, 5], []]))
    func drained(state: State, expected: [Int]) {
        let machine = self.machine(in: state)
        #expect(machine.drain() == expected)
        #expect(machine.isDraining && machine.waiting == 0)
    }

    @Test("a drain ends no run", arguments: zip(State.allCases, [0, 1, 2, 2, 2, 2]))
    func drainKeepsRuns(state: State, expected: Int) {
        let machine = self.machine(in: state)
        _ = machine.drain()
        #expect(machine.running == expected)
    }

    @Test("an empty batch changes nothing", arguments: State.allCases)
    func emptyBatch(state: State) {
        let machine = self.machine(in: state)
        let before = [machine.running, machine.waiting]
        #expect(machine.receive([]) == [[], []])
        #expect([machine.running, machine.waiting] == before)
    }

    @Test("what waits runs in the order of its arrival, over batches")
    func order() {
        let machine = Machine(concurrency: 1, capacity: 10)
        _ = machine.receive([1, 2])
        _ = machine.receive([3])
        _ = machine.receive([4, 5])
        let order = (0..<5).map { _ in machine.finish() }
        #expect(order == [2, 3, 4, 5, nil])
    }

    @Test("a mailbox without room waits for nothing")
    func noMailbox() {
        let machine = Machine(concurrency: 1, capacity: 0)
        #expect(machine.receive([1, 2]) == [[1], [2]])
    }

    @Test("never more run than may, and never more wait than fit, whatever the order of events")
    func bounds() {
        let machine = Machine(concurrency: 3, capacity: 4)
        var next = 0
        for step in 0..<500 {
            if step % 7 < 4 {
                _ = machine.receive(Array(next..<next + step % 5))
                next += step % 5
            } else if machine.running > 0 {
                _ = machine.finish()
            }
            #expect((0...3).contains(machine.running) && (0...4).contains(machine.waiting))
            // Nothing waits while there is a free place.
            #expect(machine.waiting == 0 || machine.running == 3)
        }
    }

    @Test("nothing is lost: each item runs, waits or goes back once")
    func conservation() {
        let machine = Machine(concurrency: 3, capacity: 4)
        var seen: [Int] = []
        for batch in 0..<40 {
            let parts = machine.receive(Array(batch * 4..<batch * 4 + 4))
            seen += parts[0] + parts[1]
            for _ in 0..<2 where machine.running > 0 {
                if let item = machine.finish() { seen.append(item) }
            }
        }
        seen += machine.drain()
        #expect(seen.sorted() == Array(0..<160))
    }
}
