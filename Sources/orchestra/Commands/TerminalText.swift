/// Makes the output of an agent safe to print: no escape sequence of it reaches the user's own terminal.
enum TerminalText {
    /// The text without escape sequences and control characters, except line ends and tabs.
    static func plain(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var scalars = Substring(text).unicodeScalars
        while let scalar = scalars.popFirst() {
            switch scalar {
            case "\u{1b}": self.skipSequence(&scalars)
            case "\n", "\t": result.append(scalar)
            case "\r": break
            default:
                let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
                if !isControl { result.append(scalar) }
            }
        }
        return String(result)
    }

    /// Drops the rest of a CSI, OSC or two-character sequence (ECMA-48 §5.4).
    private static func skipSequence(_ scalars: inout Substring.UnicodeScalarView) {
        guard let kind = scalars.popFirst() else { return }
        if kind == "[" {
            while let scalar = scalars.popFirst(), !(0x40...0x7e).contains(scalar.value) {}
        } else if kind == "]" || kind == "P" || kind == "_" || kind == "^" {
            while let scalar = scalars.popFirst() {
                if scalar == "\u{07}" { return }
                if scalar == "\u{1b}" {
                    _ = scalars.popFirst()
                    return
                }
            }
        }
    }
}
