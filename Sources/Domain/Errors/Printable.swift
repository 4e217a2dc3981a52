/// Makes untrusted text safe to show: short, one line, no control characters.
package enum Printable {
    /// Returns at most `limit` Unicode scalars of `text`. Replaces control characters by U+FFFD and marks a truncation with
    /// an ellipsis.
    package static func text(_ text: String, limit: Int = 80) -> String {
        var result = ""
        for scalar in text.unicodeScalars.prefix(limit) {
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            result.unicodeScalars.append(isControl ? "\u{fffd}" : scalar)
        }
        return text.unicodeScalars.count > limit ? result + "…" : result
    }
}
