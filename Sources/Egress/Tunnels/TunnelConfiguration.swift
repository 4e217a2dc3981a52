/// What the decisions of a connection depend on: one generation of the rules.
package struct TunnelConfiguration: Hashable, Sendable {
    /// At most so many addresses of an answer are tried.
    package static let dialLimit = 16

    package let rules: EgressRules
    package let addresses: AddressRules
    /// The ports of the sandbox's own listeners, for a hint to callers that go through the proxy to reach one.
    package let listenerPorts: Set<UInt16>
    /// The random part of the placeholders that the sandbox has instead of keys; nil when the launch has none.
    package var launchSecret: String?

    /// Takes the parts as given.
    package init(rules: EgressRules, addresses: AddressRules = AddressRules(), listenerPorts: Set<UInt16> = []) {
        self.rules = rules
        self.addresses = addresses
        self.listenerPorts = listenerPorts
    }

    /// Decides a request before any name is resolved. Address literals are checked here.
    func decide(_ line: RequestLine) throws(EgressRefusal) -> EgressEntry {
        let listener: EgressListenerKind = line.method == .connect ? .tunnel : .http
        if self.isOwnListener(line.target) {
            throw EgressRefusal(
                .ownListener, "\(line.target) is a listener of the sandbox itself", target: line.target)
        }
        let decision = self.rules.decide(line.target, listener: listener, method: line.method, path: line.path)
        switch decision {
        case .allow(let entry):
            if case .address(let address) = line.target.host {
                try self.check([address], for: entry, line.target)
            }
            return entry
        case .refuse(let refusal):
            // The reason that a change of the rules cannot remove is the more useful one.
            if case .address(let address) = line.target.host, refusal.reason != .denied,
                let problem = self.addresses.problem(with: address)
            {
                throw EgressRefusal(.addressNotAllowed, problem, target: line.target)
            }
            throw refusal
        }
    }

    /// Checks all addresses of an answer.
    func check(
        _ addresses: [EgressAddress], for entry: EgressEntry, _ target: EgressTarget
    ) throws(EgressRefusal) {
        let problem = self.addresses.problem(withAll: addresses, allowing: entry.effectivePrivateRanges)
        guard let problem else { return }
        throw EgressRefusal(.addressNotAllowed, problem, target: target, entry: entry.id)
    }

    private func isOwnListener(_ target: EgressTarget) -> Bool {
        guard self.listenerPorts.contains(target.port) else { return false }
        switch target.host {
        case .name(let name): return name.text == "localhost"
        case .address(let address): return AddressClass(address) == .loopback
        }
    }
}
