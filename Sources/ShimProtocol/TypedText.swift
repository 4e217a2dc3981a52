package import Domain

/// Text that is typed at a terminal: what is accepted, and the bytes that are written for it.
package enum TypedText {
    /// The longest line that a terminal in line mode takes, its newline apart (`N_TTY_BUF_SIZE` of Linux less one). The
    /// kernel drops the rest of a longer line, and its Enter, without an error.
    package static let longestLine = 4094

    /// The text's bytes. Throws `DomainError` for an empty text, and for one with control characters other than newline and
    /// tab, which could end a paste early or drive the terminal; the message names the first. Keys are sent as
    /// `TerminalKey`.
    package static func checked(_ text: String) throws(DomainError) -> [UInt8] {
        guard !text.isEmpty else {
            throw DomainError.invalidValue("the text is empty; to press Enter alone, send the key Enter")
        }
        if let name = self.controlCharacter(in: text) {
            throw DomainError.invalidValue(
                "the text contains the control character \(name); expected text, newlines and tabs; send keys by name instead"
            )
        }
        return Array(text.utf8)
    }

    /// The name of the first control character that text must not contain, as `ESC (U+001B)`; nil when there is none.
    package static func controlCharacter(in text: String) -> String? {
        text.unicodeScalars.first(where: self.isRefused).map { scalar in
            let hex = String(scalar.value, radix: 16, uppercase: true)
            let code = "U+" + String(repeating: "0", count: 4 - hex.count) + hex
            if scalar.value < 0x20 { return "\(self.names[Int(scalar.value)]) (\(code))" }
            return scalar.value == 0x7F ? "DEL (\(code))" : code
        }
    }

    /// What is written for the text, in order: the text, as one marked paste where the program wants pastes marked, and
    /// Enter. The program must have read each before the next is written.
    package static func chunks(_ text: [UInt8], isPasteMarked: Bool) -> [[UInt8]] {
        let typed =
            isPasteMarked
            ? Array("\u{1b}[200~".utf8) + text + Array("\u{1b}[201~".utf8)
            : text.map { $0 == 0x0A ? 0x0D : $0 }
        return [typed, [0x0D]]
    }

    /// The length of the longest line, in bytes.
    package static func longestLine(of bytes: [UInt8]) -> Int {
        bytes.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }).map(\.count).max() ?? 0
    }

    private static func isRefused(_ scalar: Unicode.Scalar) -> Bool {
        let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
        return isControl && scalar != "\n" && scalar != "\t"
    }

    /// The names of U+0000 to U+001F (ECMA-48).
    private static let names = [
        "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR", "SO", "SI", "DLE",
        "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US",
    ]
}
