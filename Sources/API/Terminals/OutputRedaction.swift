internal import Redaction

/// An agent's output on its way out, without secrets; the log itself keeps its bytes.
struct OutputRedaction: Sendable {
    private var redactor = Redactor(isLive: true)
    /// The first byte that was asked for.
    private let start: UInt64
    /// The first byte that no part has shown.
    private var shown: UInt64
    private var end: UInt64

    /// Bytes before the first one asked for that are read, too: a reader that begins within a secret would see its end.
    private static let leadIn: UInt64 = 4096

    /// For a reader who wants the log from this byte on.
    init(from offset: UInt64) {
        self.start = offset
        self.shown = offset
        self.end = offset
    }

    /// Where to begin to read.
    var first: UInt64 { self.start - min(self.start, Self.leadIn) }

    /// Takes bytes of the log in their order; what may be shown of them, nil while that is nothing.
    mutating func take(_ place: UInt64, _ bytes: [UInt8]) -> AgentOutput? {
        var output: [UInt8] = []
        let before = place < self.start ? Int(clamping: self.start - place) : 0
        self.redactor.redact(bytes.prefix(before), into: &output)
        output = []
        guard before < bytes.count else { return nil }
        self.redactor.redact(bytes.dropFirst(before), into: &output)
        self.end = place + UInt64(bytes.count)
        return self.part(output)
    }

    /// The log has ended: what was held back.
    mutating func finish() -> AgentOutput? {
        var output: [UInt8] = []
        self.redactor.finish(into: &output)
        return self.part(output)
    }

    private mutating func part(_ output: [UInt8]) -> AgentOutput? {
        guard !output.isEmpty else { return nil }
        defer { self.shown = self.end }
        return AgentOutput(offset: self.shown, next: self.end, bytes: output)
    }
}
