import Domain
import ShimProtocol
import Testing

@testable import Agents

/// Lets a test's expectations call the machine's mutating methods.
private final class AgentMachineBox {
    private var machine: AgentMachine

    init(inputs: [AgentMachine.TypedInput], waitsForScreen: Bool = false) {
        self.machine = AgentMachine(inputs: inputs, waitsForScreen: waitsForScreen)
    }

    var state: AgentState { self.machine.state }

    var evidence: String { self.machine.evidence }

    func handle(_ event: AgentMachine.Event) -> [AgentMachine.Action] { self.machine.handle(event) }
}

@Suite("The agent's decisions")
struct AgentMachineTests {
    private static let inputs = [
        AgentMachine.TypedInput(id: 1, bytes: [65]), AgentMachine.TypedInput(id: 2, bytes: [66]),
    ]
    private static let success = ExitRecord(endedBy: .itself, code: 0, signal: 0)
    private static let failure = ExitRecord(endedBy: .itself, code: 3, signal: 0)

    @Test("a fresh agent gets its prompt only after it has shown something")
    func promptWaits() {
        let machine = AgentMachineBox(inputs: Self.inputs)
        #expect(machine.handle(.welcomed(logLength: 0)) == [.watch(offset: 0), .follow(after: 0)])
        #expect(machine.state == .starting)
        #expect(machine.handle(.output) == [.watch(offset: .max), .type(Self.inputs)])
        #expect(machine.state == .ready)
        _ = machine.handle(.written(id: 1))
        #expect(machine.state == .ready)
        _ = machine.handle(.written(id: 2))
        #expect(machine.state == .busy)
        #expect(machine.handle(.exited(Self.success)) == [.finish(Self.success)])
        #expect(machine.state == .exited)
    }

    @Test("a prompt waits for its screen or for its time, and is given again to a shim that may not have received it")
    func promptWaitsForScreen() {
        let machine = AgentMachineBox(inputs: Self.inputs, waitsForScreen: true)
        #expect(machine.handle(.welcomed(logLength: 100)) == [.watch(offset: .max), .follow(after: 0)])
        #expect(machine.handle(.output) == [])
        #expect(machine.handle(.seen(.waiting, rule: 2)) == [] && machine.state == .waiting)
        #expect(machine.handle(.seen(.ready, rule: 3)) == [.watch(offset: .max), .type(Self.inputs)])
        #expect(machine.state == .ready && machine.evidence.contains("rule 3"))
        // The connection broke meanwhile.
        #expect(
            machine.handle(.welcomed(logLength: 100))
                == [.watch(offset: .max), .type(Self.inputs), .follow(after: 0)])
        _ = machine.handle(.written(id: 2))
        #expect(machine.state == .busy)
        #expect(machine.handle(.screenTimedOut) == [])
        let untyped = AgentMachineBox(inputs: Self.inputs, waitsForScreen: true)
        _ = untyped.handle(.welcomed(logLength: 0))
        #expect(untyped.handle(.screenTimedOut) == [.watch(offset: .max), .type(Self.inputs)])
    }

    @Test("an adopted agent gets the same inputs by the same ids, which the shim does not type twice")
    func adoption() {
        let machine = AgentMachineBox(inputs: Self.inputs)
        #expect(
            machine.handle(.welcomed(logLength: 100))
                == [.watch(offset: .max), .type(Self.inputs), .follow(after: 0)])
    }

    @Test("what it says of itself is its state, with that as evidence; other words change nothing")
    func saying() {
        let machine = AgentMachineBox(inputs: [])
        _ = machine.handle(.welcomed(logLength: 1))
        #expect(machine.state == .busy)
        _ = machine.handle(.said(Array(#"{"type":"state","state":"throttled","detail":"until noon"}"#.utf8)))
        #expect(machine.state == .throttled && machine.evidence == "it said so: until noon")
        for words in [
            #"{"type":"state","state":"exited"}"#, #"{"type":"state","state":"quarantined"}"#, "{}", "[", "",
            #"{"state":"busy"}"#,
        ] {
            _ = machine.handle(.said(Array(words.utf8)))
            #expect(machine.state == .throttled)
        }
    }

    @Test("an agent that says something of itself before it shows anything still gets its prompt")
    func saysFirst() {
        let machine = AgentMachineBox(inputs: Self.inputs)
        _ = machine.handle(.welcomed(logLength: 0))
        _ = machine.handle(.said(Array(#"{"type":"state","state":"waiting"}"#.utf8)))
        #expect(machine.handle(.output) == [.watch(offset: .max), .type(Self.inputs)])
        #expect(machine.handle(.output) == [])
        #expect(machine.state == .waiting)
    }

    @Test("an agent that was asked to end has not crashed")
    func stopped() {
        #expect(AgentState(of: ExitRecord(endedBy: .stop, code: 137, signal: 0)) == .exited)
        #expect(AgentState(of: ExitRecord(endedBy: .orphaned, code: 137, signal: 0)) == .crashed)
    }

    @Test("a socket that closes means the record on disk, or a crash")
    func disconnect() {
        let left = AgentMachineBox(inputs: [])
        #expect(left.handle(.disconnected(record: Self.failure)) == [.finish(Self.failure)])
        #expect(left.state == .crashed)
        let gone = AgentMachineBox(inputs: [])
        guard case .fail(let error) = gone.handle(.disconnected(record: nil)).first else { return #expect(Bool(false)) }
        #expect(error.code == .crashed)
    }

    @Test("a shim that has a newer owner ends this one's part")
    func replaced() {
        let machine = AgentMachineBox(inputs: [])
        guard case .fail(let error) = machine.handle(.refused(reason: "a newer owner has come")).first else {
            return #expect(Bool(false))
        }
        #expect(error.code == .replaced)
    }

    @Test("after the end no event asks for anything")
    func ended() {
        let events: [AgentMachine.Event] = [
            .welcomed(logLength: 0), .output, .written(id: 1), .viewLost, .refused(reason: ""), .exited(Self.success),
            .disconnected(record: nil), .stopRequested,
        ]
        for last in [Self.success, Self.failure] {
            let machine = AgentMachineBox(inputs: Self.inputs)
            _ = machine.handle(.exited(last))
            for event in events { #expect(machine.handle(event) == []) }
        }
    }

    @Test("a lost view is opened again and a stop is asked once")
    func viewAndStop() {
        let machine = AgentMachineBox(inputs: [])
        _ = machine.handle(.welcomed(logLength: 0))
        #expect(machine.handle(.viewLost) == [.openView])
        #expect(machine.handle(.stopRequested) == [.stop])
        #expect(machine.handle(.stopRequested) == [])
    }

    @Test("a prompt is passed to the shim unchanged, and a closing line is typed with its Enter")
    func promptInputs() {
        let inputs = PromptText.inputs(prompt: "a\u{1b}b\nc", closing: ["exit"])
        #expect(inputs[0].bytes == Array("a\u{1b}b\nc".utf8) && inputs[0].isPrompt)
        #expect(inputs[1].bytes == Array("exit\r".utf8) && !inputs[1].isPrompt)
    }

    @Test("an empty prompt is not typed")
    func emptyPrompt() {
        #expect(PromptText.inputs(prompt: "", closing: []).isEmpty)
    }
}
