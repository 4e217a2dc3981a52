/// A model's name, or its beginning followed by `*`.
package struct ModelPattern: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    /// Returns nil for text that is not a model name of at most 128 characters, with at most one `*`, at its end.
    package init?(_ text: String) {
        let name = text.hasSuffix("*") ? String(text.dropLast()) : text
        guard name.isEmpty ? text == "*" : Self.isModelName(name) else { return nil }
        self.text = text
    }

    package var description: String { self.text }

    /// Whether the pattern names one model.
    package var isExact: Bool { !self.text.hasSuffix("*") }

    /// Whether the pattern covers a model. Compares byte by byte.
    package func covers(_ model: String) -> Bool {
        self.isExact
            ? Array(model.utf8) == Array(self.text.utf8) : model.utf8.starts(with: self.text.utf8.dropLast())
    }

    /// How closely the pattern describes the models it covers: an exact name first, then the longer beginning.
    var precision: Int { self.isExact ? Int.max : self.text.utf8.count }

    /// Whether text is safe to use as the name of a model: 1 to 128 letters, digits and `._:/@-`.
    package static func isModelName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "._:/@-".utf8.contains(byte)
                }
            }
    }
}
