internal import Domain

/// What agents report apart from their terminals that this version understands.
enum AgentStatusMessage {
    /// `{"type":"state","state":"ready|busy|waiting|throttled","detail":"…"}`; nil for anything else.
    static func state(_ line: [UInt8]) -> (AgentState, String)? {
        // What is not JSON says nothing that this version understands.
        guard let value = JSONValue(ifValid: line), value["type"]?.string == "state",
            let state = value["state"]?.string.flatMap(AgentState.init(rawValue:)),
            [.ready, .busy, .waiting, .throttled].contains(state)
        else { return nil }
        let detail = value["detail"]?.string.map { ": \(Printable.text($0, limit: 200))" } ?? ""
        return (state, "it said so\(detail)")
    }
}
