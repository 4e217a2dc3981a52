/// The first thing in an archive that does not hold.
package struct ArchiveFinding: Error, Hashable, Sendable {
    /// The file name of the segment, or of the head; empty when it is the archive as a whole.
    package let file: String
    /// The line in that file, counted from 1; nil when it is no single row.
    package let row: Int?
    /// The sequence number that belongs there; nil when it is no single row.
    package let sequence: UInt64?
    /// A sentence without a full stop.
    package let reason: String

    /// Takes the parts as given.
    package init(file: String, row: Int? = nil, sequence: UInt64? = nil, reason: String) {
        self.file = file
        self.row = row
        self.sequence = sequence
        self.reason = reason
    }
}
