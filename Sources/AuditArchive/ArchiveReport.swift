/// What a verified chain has.
package struct ArchiveReport: Hashable, Sendable {
    package var node = ""
    package var segments = 0
    /// The sequence number of the last row, which is how many rows there are.
    package var rows: UInt64 = 0
    package var events = 0
    package var checkpoints = 0
    /// The fingerprints of the keys, the first first.
    package var keys: [String] = []
    /// When the head was signed, in milliseconds since the epoch by the node's clock.
    package var signedAt: UInt64 = 0
    /// Rows behind the signed head: the node ended before it signed them, or somebody else added them. The node removes them
    /// when it starts again.
    package var unsignedRows: UInt64 = 0
    /// Whether the last line is incomplete; the node removes it, too.
    package var endsIncomplete = false
}
