/// A path of an entry: literal characters, `*` for anything within one segment, `**` for anything.
package struct PathPattern: Hashable, Sendable, CustomStringConvertible {
    private enum Part: Hashable {
        case literal(UInt8)
        case segment
        case anything
    }

    private let text: String
    private let parts: [Part]

    /// Nil unless the text starts with a slash, has at most 512 visible ASCII characters and at most 16 wildcards, and has no
    /// query, fragment, backslash, escape, empty segment or dot segment. Rules are written in the normalized form.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.first == UInt8(ascii: "/"), bytes.count <= 512, Self.isNormal(bytes),
            !bytes.contains(UInt8(ascii: "%"))
        else { return nil }
        var parts: [Part] = []
        for byte in bytes {
            if byte != UInt8(ascii: "*") {
                parts.append(.literal(byte))
            } else if parts.last == .segment {
                parts[parts.count - 1] = .anything
            } else if parts.last != .anything {
                parts.append(.segment)
            }
        }
        guard parts.count(where: { $0 == .segment || $0 == .anything }) <= 16 else { return nil }
        self.text = text
        self.parts = parts
    }

    /// Whether a request could have this path.
    private static func isNormal(_ bytes: [UInt8]) -> Bool {
        do throws(EgressRefusal) {
            return try RequestPath(bytes[...]).spelled.utf8.count == bytes.count
        } catch {
            return false
        }
    }

    /// Whether the pattern matches the whole normalized path. The time is bounded by the product of both lengths.
    package func matches(_ path: RequestPath) -> Bool {
        // The set of positions in the pattern that the bytes so far can lead to.
        var states = Array(repeating: false, count: self.parts.count + 1)
        states[0] = true
        self.skipWildcards(&states)
        for byte in path.normalized.utf8 {
            var next = Array(repeating: false, count: states.count)
            for (index, part) in self.parts.enumerated() where states[index] {
                switch part {
                case .literal(let expected): if byte == expected { next[index + 1] = true }
                case .segment: if byte != UInt8(ascii: "/") { next[index] = true }
                case .anything: next[index] = true
                }
            }
            states = next
            self.skipWildcards(&states)
        }
        return states[self.parts.count]
    }

    private func skipWildcards(_ states: inout [Bool]) {
        for (index, part) in self.parts.enumerated() where states[index] {
            if case .literal = part { continue }
            states[index + 1] = true
        }
    }

    package var description: String { self.text }
}
