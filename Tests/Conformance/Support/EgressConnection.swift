internal import Egress

/// One connection with a resolver that answers from a table and a dialer that always connects. It counts what reaches them.
struct EgressConnection {
    private var machine: TunnelMachine
    private let names: [String: EgressResolution]
    /// The names that were asked, each once.
    private(set) var resolved: [String] = []
    private(set) var dialed: String?
    private(set) var forwarded: [UInt8] = []
    /// The last event: its reason is nil if the connection was allowed to its end.
    private(set) var decision: EgressEvent?

    init(_ configuration: TunnelConfiguration, names: [String: EgressResolution]) {
        self.machine = TunnelMachine(configuration)
        self.names = names
    }

    var status: Int? { self.machine.status }

    mutating func received(_ bytes: [UInt8]) { self.perform(self.machine.received(bytes)) }

    mutating func receivedEndOfInput() { self.perform(self.machine.receivedEndOfInput()) }

    private mutating func perform(_ actions: [TunnelAction]) {
        for action in actions {
            switch action {
            case .check(let check): self.perform(self.machine.checked(check.run()))
            case .resolve(let name):
                if !self.resolved.contains(name.text) { self.resolved.append(name.text) }
                self.perform(self.machine.resolved(self.names[name.text] ?? .failed))
            case .dial(let address, let port):
                self.dialed = EgressTarget(host: .address(address), port: port).description
                self.perform(self.machine.dialed(.connected))
            case .record(let event), .admit(let event): self.decision = event
            case .forward(let bytes): self.forwarded += bytes
            case .answer, .endAnswer, .endForward, .wait, .close: break
            }
        }
    }
}
