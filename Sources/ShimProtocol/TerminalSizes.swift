package import Domain

/// The sizes that a terminal was given after its launch, and where its log stood then: lines `offset columns rows`.
package struct TerminalSizes: Hashable, Sendable {
    /// A new size of the terminal, and the length of its log in bytes at that time.
    package struct Change: Hashable, Sendable {
        package let offset: UInt64
        package let columns: UInt16
        package let rows: UInt16

        /// Takes the parts as given; `TerminalSizes.problem` checks a size.
        package init(offset: UInt64, columns: UInt16, rows: UInt16) {
            self.offset = offset
            self.columns = columns
            self.rows = rows
        }
    }

    package private(set) var changes: [Change] = []

    /// The sizes that a terminal may be given.
    package static let columns: ClosedRange<UInt16> = 10...500
    package static let rows: ClosedRange<UInt16> = 2...200
    /// Changes that are kept; the oldest are dropped first.
    package static let limit = 256

    /// Starts without changes.
    package init() {}

    /// Reads a file of changes; an incomplete or malformed line is ignored.
    package init(decoding bytes: [UInt8]) {
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count == 3, let offset = UInt64(fields[0]), let columns = UInt16(fields[1]),
                let rows = UInt16(fields[2]), Self.problem(columns: columns, rows: rows) == nil
            else { continue }
            self.changes.append(Change(offset: offset, columns: columns, rows: rows))
        }
    }

    package var encoded: [UInt8] {
        self.changes.flatMap { Array("\($0.offset) \($0.columns) \($0.rows)\n".utf8) }
    }

    /// Adds the newest change.
    package mutating func add(_ change: Change) {
        if self.changes.count >= Self.limit { self.changes.removeFirst() }
        self.changes.append(change)
    }

    /// The size at this place of the log; nil when the terminal still had its first.
    package func size(at offset: UInt64) -> (columns: UInt16, rows: UInt16)? {
        self.changes.last { $0.offset <= offset }.map { ($0.columns, $0.rows) }
    }

    /// Why a terminal may not be given this size; nil when it may.
    package static func problem(columns: UInt16, rows: UInt16) -> String? {
        guard self.columns.contains(columns), self.rows.contains(rows) else {
            return
                "a terminal of \(columns)x\(rows): expected \(self.columns.lowerBound) to \(self.columns.upperBound) columns and \(self.rows.lowerBound) to \(self.rows.upperBound) rows"
        }
        return nil
    }

    /// Parses `COLSxROWS`. Throws `DomainError` when it is malformed or out of bounds.
    package static func parse(_ text: String) throws(DomainError) -> (columns: UInt16, rows: UInt16) {
        let parts = text.split(separator: "x", omittingEmptySubsequences: false)
        guard parts.count == 2, let columns = UInt16(parts[0]), let rows = UInt16(parts[1]) else {
            throw DomainError.invalidValue(
                "'\(Printable.text(text, limit: 40))' is not a size; expected COLSxROWS, such as 120x40")
        }
        if let problem = self.problem(columns: columns, rows: rows) { throw DomainError.invalidValue(problem) }
        return (columns, rows)
    }
}
