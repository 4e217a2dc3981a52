/// A DNS name in the one form in which names are compared: lower case, ASCII, without a trailing dot.
package struct HostName: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    /// Throws `invalid_host` unless the bytes are a host name: labels of 1 to 63 ASCII letters, digits and inner hyphens,
    /// at most 253 bytes. One trailing dot is removed. Nothing is decoded: an internationalized name must come as A-labels.
    package init(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) {
        let bytes = bytes.last == UInt8(ascii: ".") ? bytes.dropLast() : bytes
        guard !bytes.isEmpty else { throw EgressRefusal(.invalidHost, "the host is empty") }
        guard bytes.count <= 253 else {
            throw EgressRefusal(.invalidHost, "the host has \(bytes.count) bytes: expected at most 253")
        }
        for label in bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            if let problem = Self.problem(label) { throw EgressRefusal(.invalidHost, problem) }
        }
        self.text = ASCII.lowercased(bytes)
    }

    init(known text: String) { self.text = text }

    private static func problem(_ label: ArraySlice<UInt8>) -> String? {
        let hyphen = UInt8(ascii: "-")
        guard !label.isEmpty else { return "the host has an empty label" }
        guard label.count <= 63 else { return "a label of the host has \(label.count) bytes: expected at most 63" }
        guard label.allSatisfy({ ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == hyphen }) else {
            return "the host has a character that is not an ASCII letter, digit, hyphen or dot"
        }
        guard label.first != hyphen, label.last != hyphen else {
            return "a label of the host begins or ends with a hyphen"
        }
        return nil
    }

    /// The name without its first label; nil when one label is left.
    package var parent: HostName? {
        guard let dot = self.text.utf8.firstIndex(of: UInt8(ascii: ".")) else { return nil }
        return HostName(known: String(self.text[self.text.index(after: dot)...]))
    }

    package var description: String { self.text }
}
