import Egress

/// What a connection did.
struct PlayedConnection: Hashable {
    var machine: TunnelMachine
    var answers: [[EgressAddress]]
    var questions: [String] = []
    var dials: [String] = []
    var forwarded: [UInt8] = []
    var answered: [UInt8] = []
    var events: [EgressEvent] = []
    var isClosed = false
    var waits: [UInt64] = []
    var checks = 0

    init(machine: TunnelMachine, answers: [[EgressAddress]]) {
        self.machine = machine
        self.answers = answers
    }

    var reason: EgressReason? { self.events.last?.reason }
    var isRefused: Bool { self.reason != nil }
    var forwardedText: String { String(decoding: self.forwarded, as: UTF8.self) }
    var answeredText: String { String(decoding: self.answered, as: UTF8.self) }
    /// Whether nothing reached the network.
    var isSilent: Bool { self.questions.isEmpty && self.dials.isEmpty && self.forwarded.isEmpty }

    mutating func perform(_ actions: [TunnelAction]) {
        for action in actions {
            switch action {
            case .check(let check):
                self.checks += 1
                self.perform(self.machine.checked(check.run()))
            case .resolve(let name):
                self.questions.append(name.text)
                let answer = self.answers.first ?? []
                if self.answers.count > 1 { self.answers.removeFirst() }
                self.perform(self.machine.resolved(answer.isEmpty ? .failed : .addresses(answer)))
            case .dial(let address, let port):
                self.dials.append(EgressTarget(host: .address(address), port: port).description)
                self.perform(self.machine.dialed(.connected))
            case .record(let event), .admit(let event): self.events.append(event)
            case .forward(let bytes): self.forwarded += bytes
            case .answer(let bytes): self.answered += bytes
            case .wait(let seconds): self.waits.append(seconds)
            case .endAnswer, .endForward: break
            case .close: self.isClosed = true
            }
        }
    }
}
