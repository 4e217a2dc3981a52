import Domain
import ShimProtocol
import Testing

@testable import Agents

/// Events that lead a machine to each of its states.
private enum MachinePaths {
    static let success = ExitRecord(endedBy: .itself, code: 0, signal: 0)
    static let failure = ExitRecord(endedBy: .itself, code: 3, signal: 0)

    /// Events that lead to each state that a running launch can be in.
    static let paths: [AgentState: [AgentMachine.Event]] = [
        .starting: [], .ready: [.welcomed(logLength: 1)], .busy: [.welcomed(logLength: 1), .written(id: 1)],
        .waiting: [.welcomed(logLength: 1), .said(Array(#"{"type":"state","state":"waiting"}"#.utf8))],
        .throttled: [.welcomed(logLength: 1), .said(Array(#"{"type":"state","state":"throttled"}"#.utf8))],
    ]

    static let ends: [AgentState: [AgentMachine.Event]] = [
        .exited: [.exited(MachinePaths.success)], .crashed: [.exited(MachinePaths.failure)],
        .unknown: [.refused(reason: "newer")],
    ]

    static let running = AgentState.allCases.filter { Self.paths[$0] != nil }
    static let ended = AgentState.allCases.filter { Self.ends[$0] != nil }
}

/// Every state of the machine with every event.
@Suite("AgentMachine, every state and event")
struct AgentMachineTableTests {
    private static let inputs = [AgentMachine.TypedInput(id: 1, bytes: [65])]
    private static func machine(_ events: [AgentMachine.Event]) -> AgentMachine {
        var machine = AgentMachine(inputs: Self.inputs)
        for event in events { _ = machine.handle(event) }
        return machine
    }

    /// The actions that an event asks for, and the state after it.
    private static func after(
        _ path: [AgentMachine.Event], _ event: AgentMachine.Event
    ) -> (actions: [AgentMachine.Action], state: AgentState) {
        var machine = Self.machine(path)
        let actions = machine.handle(event)
        return (actions, machine.state)
    }

    @Test("the events of each path lead to its state", arguments: MachinePaths.running)
    func paths(state: AgentState) throws {
        #expect(Self.machine(try #require(MachinePaths.paths[state])).state == state)
    }

    @Test("in every running state an exit ends the launch with its record", arguments: MachinePaths.running)
    func exits(state: AgentState) throws {
        let path = try #require(MachinePaths.paths[state])
        for record in [MachinePaths.success, MachinePaths.failure] {
            let expected: AgentState = record.isSuccess ? .exited : .crashed
            for event in [AgentMachine.Event.exited(record), .disconnected(record: record)] {
                let after = Self.after(path, event)
                #expect(after.actions == [.finish(record)] && after.state == expected)
            }
        }
    }

    @Test("in every running state a shim that is gone without a record is a crash", arguments: MachinePaths.running)
    func gone(state: AgentState) throws {
        let after = Self.after(try #require(MachinePaths.paths[state]), .disconnected(record: nil))
        guard case .fail(let error) = after.actions.first else { throw Unexpected(actions: after.actions) }
        #expect(error.code == .crashed && after.state == .crashed)
    }

    @Test("in every running state a newer owner ends this one's part", arguments: MachinePaths.running)
    func replaced(state: AgentState) throws {
        let after = Self.after(try #require(MachinePaths.paths[state]), .refused(reason: "newer"))
        guard case .fail(let error) = after.actions.first else { throw Unexpected(actions: after.actions) }
        #expect(error.code == .replaced && after.state == .unknown)
    }

    @Test("in every running state a prompt that cannot be typed is a failure", arguments: MachinePaths.running)
    func inputRefused(state: AgentState) throws {
        let after = Self.after(try #require(MachinePaths.paths[state]), .inputRefused(reason: "too long"))
        guard case .fail(let error) = after.actions.first else { throw Unexpected(actions: after.actions) }
        #expect(error.code == .failed && after.state == .crashed)
    }

    @Test("in every running state a lost view is opened again and changes nothing", arguments: MachinePaths.running)
    func viewLost(state: AgentState) throws {
        let after = Self.after(try #require(MachinePaths.paths[state]), .viewLost)
        #expect(after.actions == [.openView] && after.state == state)
    }

    @Test("in every running state a stop is asked for once", arguments: MachinePaths.running)
    func stop(state: AgentState) throws {
        var machine = Self.machine(try #require(MachinePaths.paths[state]))
        #expect(machine.handle(.stopRequested) == [.stop] && machine.handle(.stopRequested) == [])
        #expect(machine.state == state)
    }

    @Test(
        "in every running state a new connection gets the inputs again, which the shim knows by their ids",
        arguments: MachinePaths.running)
    func welcomedAgain(state: AgentState) throws {
        let after = Self.after(try #require(MachinePaths.paths[state]), .welcomed(logLength: 9))
        #expect(after.actions == [.watch(offset: .max), .type(Self.inputs), .follow(after: 0)])
    }

    @Test("the prompt is typed by the first output, and by none after it", arguments: MachinePaths.running)
    func output(state: AgentState) throws {
        let after = Self.after(try #require(MachinePaths.paths[state]), .output)
        #expect(after.actions == (state == .starting ? [.watch(offset: .max), .type(Self.inputs)] : []))
    }

    @Test("an acknowledged prompt makes a ready agent busy, and no other", arguments: MachinePaths.running)
    func written(state: AgentState) throws {
        let after = Self.after(try #require(MachinePaths.paths[state]), .written(id: 1))
        #expect(after.actions.isEmpty && after.state == (state == .ready ? .busy : state))
    }

    @Test("after an end no event asks for anything or changes the state", arguments: MachinePaths.ended)
    func ended(state: AgentState) throws {
        let path = try #require(MachinePaths.ends[state])
        let events: [AgentMachine.Event] = [
            .welcomed(logLength: 0), .output, .written(id: 1), .viewLost, .said([]), .seen(.ready, rule: 1),
            .screenTimedOut, .inputRefused(reason: ""), .refused(reason: ""), .exited(MachinePaths.failure),
            .disconnected(record: nil), .stopRequested,
        ]
        for event in events {
            let after = Self.after(path, event)
            #expect(after.actions.isEmpty && after.state == state)
        }
    }

    private struct Unexpected: Error {
        let actions: [AgentMachine.Action]
    }
}
