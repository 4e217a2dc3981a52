import Testing

@testable import Worker

@Suite("FetchMachine")
struct FetchMachineTests {
    private func joined() -> FetchMachine {
        var machine = FetchMachine()
        machine.began()
        machine.joined()
        return machine
    }

    /// A machine whose last claim found the line empty.
    private func waiting() -> FetchMachine {
        var machine = self.joined()
        _ = machine.next(isPaused: false)
        machine.claimed(hasMore: false)
        return machine
    }

    @Test("a new node joins before anything else")
    func joinsFirst() {
        var machine = FetchMachine()
        machine.began()
        let step = machine.next(isPaused: false)
        #expect(step == .join && !machine.hasJoined)
    }

    @Test("a node that was not answered joins again")
    func joinsAgain() {
        var machine = FetchMachine()
        machine.began()
        _ = machine.next(isPaused: false)
        machine.failed()
        let step = machine.next(isPaused: false)
        #expect(step == .join)
    }

    @Test("a paused node joins all the same")
    func joinsPaused() {
        var machine = FetchMachine()
        let step = machine.next(isPaused: true)
        #expect(step == .join)
    }

    @Test("after the join it claims, and the numbers of its claims rise by one")
    func numbers() {
        var machine = self.joined()
        let steps = (0..<3).map { _ in
            defer { machine.claimed(hasMore: true) }
            return machine.next(isPaused: false)
        }
        #expect(steps == [.claim(number: 1), .claim(number: 2), .claim(number: 3)])
    }

    @Test("a claim that left workspaces in line is followed by the next")
    func hasMore() {
        var machine = self.joined()
        _ = machine.next(isPaused: false)
        machine.claimed(hasMore: true)
        let step = machine.next(isPaused: false)
        #expect(step == .claim(number: 2))
    }

    @Test("a claim that emptied the line is followed by a wait")
    func emptyLine() {
        var machine = self.waiting()
        let step = machine.next(isPaused: false)
        #expect(step == .wait)
    }

    @Test("the bell ends the wait")
    func bell() {
        var machine = self.waiting()
        machine.rang()
        let step = machine.next(isPaused: false)
        #expect(step == .claim(number: 2))
    }

    @Test("a bell between a claim and its answer is not lost")
    func bellDuringClaim() {
        var machine = self.joined()
        _ = machine.next(isPaused: false)
        machine.rang()
        machine.claimed(hasMore: false)
        let step = machine.next(isPaused: false)
        #expect(step == .claim(number: 2))
    }

    @Test("a bell before a claim was sent says nothing about what comes after it")
    func bellBeforeClaim() {
        var machine = self.waiting()
        machine.rang()
        _ = machine.next(isPaused: false)
        machine.claimed(hasMore: false)
        let step = machine.next(isPaused: false)
        #expect(step == .wait)
    }

    @Test("a paused node claims nothing, and the pause uses up none of the numbers")
    func pause() {
        var machine = self.joined()
        let paused = machine.next(isPaused: true)
        let step = machine.next(isPaused: false)
        #expect(paused == .wait && step == .claim(number: 1))
    }

    @Test("a call without an answer is followed by the question of what is held")
    func lostAnswer() {
        var machine = self.joined()
        _ = machine.next(isPaused: false)
        machine.failed()
        let step = machine.next(isPaused: false)
        #expect(step == .askHeld(fence: 2))
    }

    @Test("the fence lies above every claim that was sent, and not above the next")
    func fence() {
        var machine = self.joined()
        for _ in 0..<5 { _ = machine.next(isPaused: false) }
        machine.failed()
        let question = machine.next(isPaused: false)
        machine.receivedHeld()
        let claim = machine.next(isPaused: false)
        #expect(question == .askHeld(fence: 6) && claim == .claim(number: 6))
    }

    @Test("the question is repeated until it is answered, and does not raise the number")
    func repeatedQuestion() {
        var machine = self.joined()
        machine.failed()
        let questions = (0..<3).map { _ in machine.next(isPaused: false) }
        #expect(questions == [.askHeld(fence: 1), .askHeld(fence: 1), .askHeld(fence: 1)])
    }

    @Test("a paused node asks what it holds all the same")
    func pausedQuestion() {
        var machine = self.joined()
        machine.failed()
        let step = machine.next(isPaused: true)
        #expect(step == .askHeld(fence: 1))
    }

    @Test("after an outage the line is not taken for empty")
    func lineAfterOutage() {
        var machine = self.waiting()
        machine.failed()
        machine.receivedHeld()
        let step = machine.next(isPaused: false)
        #expect(step == .claim(number: 2))
    }

    @Test("a node that the queue forgot joins, and asks nothing after that")
    func forgotten() {
        var machine = self.waiting()
        machine.failed()
        machine.forgotten()
        let join = machine.next(isPaused: false)
        machine.joined()
        let claim = machine.next(isPaused: false)
        #expect(join == .join && claim == .claim(number: 2))
    }

    @Test("a restarted consumer asks what it holds: the last claim may have been cut off")
    func restart() {
        var machine = self.waiting()
        machine.began()
        let step = machine.next(isPaused: false)
        #expect(step == .askHeld(fence: 2))
    }

    // MARK: - Every state and every event

    enum State: CaseIterable {
        case new, joined, waiting, unknown, draining
    }

    enum Event: CaseIterable {
        case began, drained, joined, receivedHeld, failed, rang, claimedMore, claimedAll, forgotten
    }

    private func machine(in state: State) -> FetchMachine {
        switch state {
        case .new: return FetchMachine()
        case .joined: return self.joined()
        case .waiting: return self.waiting()
        case .unknown:
            var machine = self.joined()
            machine.failed()
            return machine
        case .draining:
            var machine = self.joined()
            machine.drained()
            return machine
        }
    }

    private func apply(_ event: Event, to machine: inout FetchMachine) {
        switch event {
        case .began: machine.began()
        case .drained: machine.drained()
        case .joined: machine.joined()
        case .receivedHeld: machine.receivedHeld()
        case .failed: machine.failed()
        case .rang: machine.rang()
        case .claimedMore: machine.claimed(hasMore: true)
        case .claimedAll: machine.claimed(hasMore: false)
        case .forgotten: machine.forgotten()
        }
    }

    /// The step after an event in a state, as one word.
    private static let expected: [State: [Event: String]] = [
        .new: [
            .began: "join", .drained: "wait", .joined: "claim", .receivedHeld: "join", .failed: "join", .rang: "join",
            .claimedMore: "join", .claimedAll: "join", .forgotten: "join",
        ],
        .joined: [
            .began: "ask", .drained: "wait", .joined: "claim", .receivedHeld: "claim", .failed: "ask", .rang: "claim",
            .claimedMore: "claim", .claimedAll: "wait", .forgotten: "join",
        ],
        .waiting: [
            .began: "ask", .drained: "wait", .joined: "claim", .receivedHeld: "wait", .failed: "ask", .rang: "claim",
            .claimedMore: "claim", .claimedAll: "wait", .forgotten: "join",
        ],
        .unknown: [
            .began: "ask", .drained: "wait", .joined: "claim", .receivedHeld: "claim", .failed: "ask", .rang: "ask",
            .claimedMore: "ask", .claimedAll: "ask", .forgotten: "join",
        ],
        .draining: [
            .began: "wait", .drained: "wait", .joined: "wait", .receivedHeld: "wait", .failed: "wait", .rang: "wait",
            .claimedMore: "wait", .claimedAll: "wait", .forgotten: "wait",
        ],
    ]

    private func word(_ step: FetchMachine.Step) -> String {
        switch step {
        case .join: "join"
        case .askHeld: "ask"
        case .claim: "claim"
        case .wait: "wait"
        }
    }

    @Test("the step after each event in each state is the one of the table", arguments: State.allCases, Event.allCases)
    func table(state: State, event: Event) {
        var machine = self.machine(in: state)
        self.apply(event, to: &machine)
        let step = machine.next(isPaused: false)
        #expect(self.word(step) == Self.expected[state]?[event])
    }
}
