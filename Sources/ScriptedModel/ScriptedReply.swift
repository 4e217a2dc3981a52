/// What is sent for one request.
struct ScriptedReply: Sendable {
    /// How a reply goes wrong, after so many of its parts.
    enum Interruption: Hashable, Sendable {
        /// The connection is closed.
        case cut(after: Int)
        /// Nothing is sent for a while.
        case pause(after: Int)
    }

    let status: Int
    let headers: [(name: String, value: String)]
    let parts: [String]
    let interruption: Interruption?

    /// A document.
    init(status: Int, json text: String, headers: [(name: String, value: String)] = []) {
        self.status = status
        self.headers = [("content-type", "application/json"), ("content-length", String(text.utf8.count))] + headers
        self.parts = [text]
        self.interruption = nil
    }

    /// A stream of events.
    init(events: [ScriptedAnswer.Event], interruption: Interruption?) {
        self.status = 200
        self.headers = [("content-type", "text/event-stream"), ("cache-control", "no-cache")]
        self.parts = events.map(\.frame)
        self.interruption = interruption
    }

    /// The same document, interrupted.
    init(_ reply: ScriptedReply, interruption: Interruption?) {
        self.status = reply.status
        self.headers = reply.headers
        self.parts = reply.parts
        self.interruption = interruption
    }
}
