/// The beginning and the end of an output that may be longer than what is kept of it.
package struct KeptOutput: Hashable, Sendable {
    /// Bytes kept of the beginning, and as many of the end.
    private let half: Int
    private var beginning: [UInt8] = []
    /// The newest bytes behind the beginning: up to twice as many as are kept, so that few are moved.
    private var end: [UInt8] = []
    private var total: UInt64 = 0

    /// Keeps at most `limit` bytes.
    package init(limit: Int) { self.half = max(0, limit / 2) }

    /// Adds the next bytes of the output; drops those between the kept beginning and the kept end.
    package mutating func append(_ bytes: some Collection<UInt8>) {
        self.total += UInt64(bytes.count)
        let first = bytes.prefix(max(0, self.half - self.beginning.count))
        self.beginning += first
        self.end += bytes.dropFirst(first.count).suffix(self.half)
        if self.end.count > 2 * self.half { self.end.removeFirst(self.end.count - self.half) }
    }

    /// How many bytes are left out.
    package var leftOut: UInt64 {
        self.total - UInt64(self.beginning.count) - UInt64(min(self.end.count, self.half))
    }

    /// What is kept; where bytes are left out, a line says how many.
    package var bytes: [UInt8] {
        let end = self.end.suffix(self.half)
        guard self.leftOut > 0 else { return self.beginning + end }
        return self.beginning + Array("\n[\(self.leftOut) bytes left out]\n".utf8) + end
    }
}
