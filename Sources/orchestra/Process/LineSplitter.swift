/// Divides bytes into lines at line feeds alone: other characters that end lines for people may be part of a text. A line above
/// the limit is dropped as a whole.
struct LineSplitter {
    private let limit: Int
    private var line: [UInt8] = []
    private var isTooLong = false

    init(limit: Int) { self.limit = limit }

    /// Takes bytes and returns the lines that are complete, without their line feeds; nil for one that was too long.
    mutating func take(_ bytes: some Sequence<UInt8>) -> [[UInt8]?] {
        var lines: [[UInt8]?] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                if self.line.count < self.limit { self.line.append(byte) } else { self.isTooLong = true }
                continue
            }
            lines.append(self.isTooLong ? nil : self.line)
            self.line = []
            self.isTooLong = false
        }
        return lines
    }
}
