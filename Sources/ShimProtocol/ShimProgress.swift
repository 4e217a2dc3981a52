/// How far a command says it is: lines of its descriptor 4, `percent text`, which the shim hands on by its standard error.
package enum ShimProgress {
    /// What such a line of the shim begins with.
    package static let mark = "progress "

    /// Reads a line of the shim; nil when it is no progress, or says no percentage from 0 to 100.
    package static func parse(_ line: String) -> (percent: Int, text: String)? {
        guard line.hasPrefix(self.mark) else { return nil }
        let parts = line.dropFirst(self.mark.count).split(separator: " ", maxSplits: 1)
        guard let first = parts.first, let percent = Int(first), (0...100).contains(percent) else { return nil }
        return (percent, parts.count == 2 ? String(parts[1]) : "")
    }
}
