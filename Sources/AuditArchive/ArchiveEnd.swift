internal import Domain

/// The end of a chain on disk: the row that its signed head states. What follows that row is not part of the chain.
struct ArchiveEnd {
    /// The size of the head's segment up to the end of that row.
    let size: Int
    let sealed: UInt64
    /// The places of the events in that segment.
    let places: Set<String>

    /// Reads the segment of the head. Throws `ArchiveError` when it cannot be read, and `damaged` when its rows do not lead to
    /// the head, or more follows than a crash leaves.
    init(of directory: String, segments: [Int], head: ArchiveHead) throws {
        let file = ArchiveFiles.segment(head.segment)
        guard segments.contains(head.segment) else { throw Self.damaged(directory, "\(file) is missing") }
        var (reader, size, places, hasTail) = (ChainVerifier?.none, 0, Set<String>(), false)
        try SegmentLines.read("\(directory)/\(file)") { line in
            hasTail = reader?.sequence == head.sequence
            guard !hasTail else { return false }
            var next = reader ?? ChainVerifier(before: line.bytes)
            do throws(ChainFault) {
                guard line.isComplete, next != nil else { throw .malformed }
                try next?.take(line.bytes)
            } catch {
                throw Self.damaged(directory, "\(file), line \(line.number): \(error.reason)")
            }
            reader = next
            size = line.offset + line.bytes.count + 1
            if let place = ArchiveRow(line.bytes)?.place { places.insert(place) }
            return true
        }
        guard let reader, reader.sequence == head.sequence else {
            throw Self.damaged(directory, "\(file) does not have row \(head.sequence), which its head states")
        }
        guard reader.digest == head.digest else {
            throw Self.damaged(directory, "row \(head.sequence) is not the one that its head states")
        }
        // A step has all its rows in one segment.
        if let last = segments.last, last - head.segment > (hasTail ? 0 : 1) {
            throw Self.damaged(directory, "\(ArchiveFiles.segment(last)) is behind its head, and more than one step is")
        }
        self.size = size
        self.sealed = reader.sealed
        self.places = places
    }

    private static func damaged(_ directory: String, _ reason: String) -> ArchiveError {
        ArchiveError(
            code: .damaged,
            message:
                "the archive \(directory) cannot be continued: \(reason); check it with `orchestra audit verify`, and move it aside to begin another"
        )
    }
}
