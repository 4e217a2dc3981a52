internal import Domain

/// Something is asked for that is on another node.
struct OtherNode: Error {
    /// What the other node has.
    enum Subject: Sendable {
        case agent
        case files
    }

    let node: String
    let subject: Subject

    init(_ node: String, has subject: Subject) {
        self.node = node
        self.subject = subject
    }

    /// The answer where nothing is forwarded. `address` is the base of the other node's URL, nil where it is not known.
    func problem(address: String? = nil) -> Problem {
        let place = address.map { " at \(Printable.text($0, limit: 300))" } ?? ""
        return Problem(
            .misdirected, "\(self.sentence); send the request to that node's API\(place)", rule: "node")
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

    /// Says where the thing is, as the beginning of a sentence.
    var sentence: String {
        let name = Printable.text(self.node, limit: 100)
        return switch self.subject {
        case .agent: "the agent runs on the node '\(name)'"
        case .files: "the workspace's files are on the node '\(name)'"
        }
    }
}
