import Egress
import Testing

@Suite("The machine of a connection")
struct TunnelMachineTests {
    enum Input: CaseIterable, Sendable {
        case bytes, end, addresses, resolutionFailed, connected, dialFailed, serverBytes, serverEnd, deadline
        case refuse
    }

    /// The inputs that lead to each state.
    static let paths: [[Input]] = [
        [], [.bytes], [.bytes, .addresses], [.bytes, .addresses, .connected], [.bytes, .addresses, .connected, .bytes],
        [.bytes, .addresses, .connected, .bytes, .end], [.bytes, .addresses, .connected, .bytes, .serverEnd],
        [.bytes, .end], [.end], [.refuse],
    ]

    private func give(_ input: Input, to machine: inout TunnelMachine, isFirst: Bool) throws -> [TunnelAction] {
        switch input {
        case .bytes:
            let head = EgressFixture.connect("api.example.test:443")
            return machine.received(isFirst ? head : HelloBytes.hello("api.example.test"))
        case .end: return machine.receivedEndOfInput()
        case .addresses: return machine.resolved(.addresses([EgressAddress(version4Bits: 0xcb00_7105)]))
        case .resolutionFailed: return machine.resolved(.failed)
        case .connected: return machine.dialed(.connected)
        case .dialFailed: return machine.dialed(.failed)
        case .serverBytes: return machine.receivedFromServer([1, 2, 3])
        case .serverEnd: return machine.receivedEndFromServer()
        case .deadline: return machine.hitDeadline()
        case .refuse: return machine.refuse(.tooManyTunnels, "there are too many tunnels")
        }
    }

    @Test("every input in every state keeps the rules of the actions", arguments: Self.paths, Input.allCases)
    func everyStateAndInput(_ path: [Input], _ last: Input) throws {
        var machine = TunnelMachine(try EgressFixture().configuration)
        var actions: [TunnelAction] = []
        for (index, input) in (path + [last]).enumerated() {
            let wasClosed = machine.isClosed
            let next = try self.give(input, to: &machine, isFirst: index == 0)
            #expect(!wasClosed || next.isEmpty, "a closed machine has no actions")
            actions += next
        }
        let closes = actions.indices.filter { actions[$0] == .close }
        #expect(closes == (machine.isClosed ? [actions.count - 1] : []), "close is the last action, once")
        let firstRecord = actions.firstIndex { if case .record = $0 { true } else { false } } ?? actions.count
        let forwards = actions.indices.filter { if case .forward = actions[$0] { true } else { false } }
        #expect(forwards.allSatisfy { $0 > firstRecord }, "nothing is forwarded before the event")
        let questions = actions.count { if case .resolve = $0 { true } else { false } }
        #expect(questions <= 1)
    }

    @Test("T11: a refusal of the server before any byte is a readable 503")
    func tooMany() throws {
        var machine = TunnelMachine(try EgressFixture().configuration)
        let actions = try self.give(.refuse, to: &machine, isFirst: true)
        #expect(machine.status == 503 && actions.count == 3)
    }

    @Test("a deadline has the reason of its state", arguments: [0, 1, 2, 3, 4])
    func deadlines(_ steps: Int) throws {
        var machine = TunnelMachine(try EgressFixture().configuration)
        for (index, input) in [Input.bytes, .addresses, .connected, .bytes].prefix(steps).enumerated() {
            _ = try self.give(input, to: &machine, isFirst: index == 0)
        }
        guard case .record(let event) = machine.hitDeadline().first else {
            throw EgressRefusal(.denied, "expected an event")
        }
        let expected: [EgressReason?] = [.deadlinePassed, .resolutionTimeout, .dialTimeout, .opaqueTunnel, nil]
        #expect(event.reason == expected[steps])
    }

    @Test("bytes that arrive while the resolver is awaited are bounded, and the server should not read them")
    func bounded() throws {
        var machine = TunnelMachine(try EgressFixture().configuration)
        #expect(machine.wantsCallerBytes)
        let head = EgressFixture.connect("raw.example.test:22")
        #expect(machine.received(head).count == 1 && !machine.wantsCallerBytes)
        var rounds = 0
        while !machine.isClosed, rounds < 1000 {
            _ = machine.received(Array(repeating: 1, count: 16_384))
            rounds += 1
        }
        #expect(machine.isClosed && machine.status == 400)
        #expect(rounds <= TunnelMachine.pendingLimit / 16_384 + 2)
    }

    @Test("a tunnel is transparent after its ClientHello, and bytes that were copied outside are counted")
    func transparent() throws {
        var machine = TunnelMachine(try EgressFixture().configuration)
        for (index, input) in [Input.bytes, .addresses, .connected].enumerated() {
            _ = try self.give(input, to: &machine, isFirst: index == 0)
            #expect(!machine.isTransparent)
        }
        machine.relayed(fromCaller: 5, fromServer: 5)
        _ = machine.received(HelloBytes.hello("api.example.test"))
        #expect(machine.isTransparent)
        machine.relayed(fromCaller: 1000, fromServer: 2000)
        guard case .record(let event) = machine.hitDeadline().first else {
            throw EgressRefusal(.denied, "expected an event")
        }
        #expect(
            event.bytesToCaller == 2000 && event.bytesFromCaller == 1000 + HelloBytes.hello("api.example.test").count)
    }

    @Test("the next address is dialed after a failure, and the last failure is 502")
    func nextAddress() throws {
        var machine = TunnelMachine(try EgressFixture().configuration)
        _ = machine.received(EgressFixture.connect("api.example.test:443"))
        let addresses = [EgressAddress(version4Bits: 0xcb00_7105), EgressAddress(version4Bits: 0xcb00_7106)]
        #expect(machine.resolved(.addresses(addresses)) == [.dial(addresses[0], port: 443)])
        #expect(machine.dialed(.timedOut) == [.dial(addresses[1], port: 443)])
        _ = machine.dialed(.failed)
        #expect(machine.status == 502)
    }
}
