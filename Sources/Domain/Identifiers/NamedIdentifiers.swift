/// The rules that names share: they become parts of Redis keys and of file names, so the alphabet is
/// small, there is no case, and no name can be empty, hidden or climb a directory.
private enum NameRule {
    static func check(
        _ text: String, kind: String, limit: Int, extra: String, expected: String
    ) throws(DomainError) -> String {
        // Ranges instead of a set: names are read for every job that arrives.
        let extra = Array(extra.utf8)
        let bytes = Array(text.utf8)
        func isPlain(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard let first = bytes.first, let last = bytes.last, bytes.count <= limit, isPlain(first), isPlain(last),
            bytes.allSatisfy({ isPlain($0) || extra.contains($0) })
        else {
            throw .invalidIdentifier(kind: kind, text: text, expected: expected)
        }
        return text
    }
}

/// A tenant's name.
package struct WorkspaceID: Hashable, Sendable, CustomStringConvertible {
    package let name: String

    package init(_ text: String) throws(DomainError) {
        self.name = try NameRule.check(
            text, kind: "workspace", limit: 63, extra: "-_",
            expected: "1 to 63 of a-z, 0-9, - and _, beginning and ending with a letter or digit")
    }

    package var description: String { self.name }
}

/// The dotted name of an action, such as `shell.run`; compared byte by byte, never by pattern.
package struct ActionName: Hashable, Sendable, CustomStringConvertible {
    package let name: String

    package init(_ text: String) throws(DomainError) {
        self.name = try NameRule.check(
            text, kind: "action", limit: 64, extra: "._",
            expected: "1 to 64 of a-z, 0-9, _ and ., beginning and ending with a letter or digit")
    }

    package var description: String { self.name }
}

/// The stable name of a worker node; it is the consumer's name in Redis.
package struct NodeID: Hashable, Sendable, CustomStringConvertible {
    package let name: String

    package init(_ text: String) throws(DomainError) {
        self.name = try NameRule.check(
            text, kind: "node name", limit: 63, extra: "-.",
            expected: "1 to 63 of a-z, 0-9, - and ., beginning and ending with a letter or digit")
    }

    package var description: String { self.name }
}

/// The name of an agent definition, a sandbox profile or a role under `Policies/`.
package struct DefinitionName: Hashable, Sendable, CustomStringConvertible {
    package let name: String

    package init(_ text: String) throws(DomainError) {
        self.name = try NameRule.check(
            text, kind: "definition", limit: 63, extra: "-_",
            expected: "1 to 63 of a-z, 0-9, - and _, beginning and ending with a letter or digit")
    }

    private init(known name: String) { self.name = name }

    /// What the node's own trials of a sandbox are called.
    package static let measured = DefinitionName(known: "measured")

    package var description: String { self.name }
}

/// A name that a submitter gives to jobs, to find them by.
package struct JobTag: Hashable, Sendable, CustomStringConvertible {
    package let name: String

    /// Tags that one job may have.
    package static let limit = 8

    package init(_ text: String) throws(DomainError) {
        self.name = try NameRule.check(
            text, kind: "tag", limit: 63, extra: "-_.",
            expected: "1 to 63 of a-z, 0-9, -, _ and ., beginning and ending with a letter or digit")
    }

    package var description: String { self.name }
}

/// One life of a node's process; no two processes share one, so it fences the earlier.
package struct Incarnation: Hashable, Sendable, CustomStringConvertible {
    package let value: UInt64

    package init(value: UInt64) { self.value = value }

    package var description: String {
        Hexadecimal.text(of: UUIDBytes(high: self.value, low: 0).bytes.prefix(8))
    }
}
