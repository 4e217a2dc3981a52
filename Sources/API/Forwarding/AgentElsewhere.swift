internal import Domain

/// An agent is asked for that runs on another node.
struct AgentElsewhere: Error {
    let node: String

    /// The answer where nothing is forwarded.
    var problem: Problem {
        Problem(.misdirected, "\(self.sentence); send the request to that node's API", rule: "node")
    }

    /// The base of the URL to which a request is forwarded. `address` is the other node's, nil where it is not known.
    /// Throws a `Problem` when the request must not or cannot be forwarded.
    func target(address: String?, isForwarded: Bool) throws -> String {
        guard !isForwarded else {
            throw Problem(
                .misdirected, "\(self.sentence), and another node forwarded this request; it is not forwarded twice",
                rule: "node")
        }
        guard let address else {
            throw Problem(
                .misdirected,
                "\(self.sentence), whose API has no known address: send the request there, or set api.advertise on that node",
                rule: "node")
        }
        return address
    }

    private var sentence: String { "the agent runs on the node '\(Printable.text(self.node, limit: 100))'" }
}
