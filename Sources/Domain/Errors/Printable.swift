/// Makes text from outside fit to be shown: short, one line, no control characters.
package enum Printable {
    /// At most `limit` scalars of `text`, control characters replaced, with an ellipsis where it was cut.
    package static func text(_ text: String, limit: Int = 80) -> String {
        var result = ""
        for scalar in text.unicodeScalars.prefix(limit) {
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            result.unicodeScalars.append(isControl ? "\u{fffd}" : scalar)
        }
        return text.unicodeScalars.count > limit ? result + "…" : result
    }
}
