internal import ShimProtocol

/// Forwards a command's progress to its node: only the newest line counts, and no more than ten a second are sent. A line is
/// short enough for a pipe to take it whole.
struct ProgressRelay {
    private var newest: [UInt8] = []
    private var begun: [UInt8] = []
    private var sentAt: UInt64?

    /// Milliseconds between two lines.
    private static let interval: UInt64 = 100
    /// Bytes of a line; the rest of a longer one is cut off. With its mark it stays below PIPE_BUF.
    private static let limit = 512

    /// True while a line waits to be sent.
    var isPending: Bool { !self.newest.isEmpty }

    /// Takes the next bytes of the command's descriptor: lines of `percent text`.
    mutating func take(_ bytes: [UInt8]) {
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                if self.begun.count < Self.limit { self.begun.append(byte) }
                continue
            }
            if !self.begun.isEmpty { self.newest = self.begun }
            self.begun = []
        }
    }

    /// Whether a line may be sent now.
    func isDue(at now: UInt64) -> Bool {
        self.isPending && self.sentAt.map { now - $0 >= Self.interval } ?? true
    }

    /// Takes the line to send, with its mark and newline.
    mutating func next(at now: UInt64) -> [UInt8] {
        defer { self.newest = [] }
        self.sentAt = now
        return Array(ShimProgress.mark.utf8) + self.newest + [UInt8(ascii: "\n")]
    }
}
