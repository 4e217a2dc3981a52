/// A command's reports of its progress: lines `percent text` on its descriptor 4, which the shim forwards on its standard
/// error.
package enum ShimProgress {
    /// The prefix of such a line of the shim.
    package static let mark = "progress "

    /// Parses a line of the shim; nil when it is not progress, or has no percentage from 0 to 100.
    package static func parse(_ line: String) -> (percent: Int, text: String)? {
        guard line.hasPrefix(self.mark) else { return nil }
        let parts = line.dropFirst(self.mark.count).split(separator: " ", maxSplits: 1)
        guard let first = parts.first, let percent = Int(first), (0...100).contains(percent) else { return nil }
        return (percent, parts.count == 2 ? String(parts[1]) : "")
    }
}
