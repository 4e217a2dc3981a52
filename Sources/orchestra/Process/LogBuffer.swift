/// Lines that wait to be written, bounded in bytes. What does not fit is dropped and counted.
struct LogBuffer {
    private let limit: Int
    private var lines: [[UInt8]] = []
    private var size = 0
    /// Lines dropped since the last report.
    private(set) var dropped = 0

    /// `limit` is in bytes.
    init(limit: Int) { self.limit = limit }

    var isEmpty: Bool { self.lines.isEmpty }

    /// Adds a line; false when it was dropped.
    mutating func add(_ line: [UInt8]) -> Bool {
        guard self.size + line.count <= self.limit else {
            self.dropped += 1
            return false
        }
        self.lines.append(line)
        self.size += line.count
        return true
    }

    /// Counts a line that was taken and could not be written.
    mutating func countFailure() { self.dropped += 1 }

    /// Removes and returns all lines, the oldest first.
    mutating func take() -> [[UInt8]] {
        defer {
            self.lines = []
            self.size = 0
        }
        return self.lines
    }

    /// The number of lines dropped since the last report, which this is.
    mutating func takeDropped() -> Int {
        defer { self.dropped = 0 }
        return self.dropped
    }
}
