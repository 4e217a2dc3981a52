internal import Domain

/// Where a chain ends on disk, found from its head on.
struct ArchiveEnd {
    private(set) var segment: Int
    /// The size of that segment without what has to be cut.
    private(set) var size = 0
    private(set) var sequence: UInt64 = 0
    private(set) var digest: [UInt8] = []
    private(set) var sealed: UInt64 = 0
    /// The places of the events in the segments that were read.
    private(set) var places: Set<String> = []
    /// What has to be cut; nil when there is nothing.
    private(set) var cut: String?

    /// Reads the segment of the head and those after it. Throws `ArchiveError` when they cannot be read, and `damaged` when
    /// the rows do not lead to the head.
    init(of directory: String, segments: [Int], head: ArchiveHead) throws {
        self.segment = head.segment
        let later = segments.filter { $0 >= head.segment }
        guard later.first == head.segment, zip(later, later.dropFirst()).allSatisfy({ $1 - $0 == 1 }) else {
            throw Self.damaged(directory, "segment \(head.segment) or one after it is missing")
        }
        var verifier: ChainVerifier?
        for number in later {
            guard self.cut == nil else { throw Self.damaged(directory, "segment \(number) follows an incomplete row") }
            if number > head.segment, (verifier?.sequence ?? 0) < head.sequence { break }
            self.segment = number
            self.size = 0
            try self.follow("\(directory)/\(ArchiveFiles.segment(number))", &verifier, head, directory)
        }
        guard let verifier, verifier.sequence >= head.sequence else {
            throw Self.damaged(directory, "it ends before row \(head.sequence), which its head states")
        }
        self.sequence = verifier.sequence
        self.digest = verifier.digest
        self.sealed = verifier.sealed
    }

    private mutating func follow(
        _ path: String, _ verifier: inout ChainVerifier?, _ head: ArchiveHead, _ directory: String
    ) throws {
        var size = 0
        var cut: String?
        var places: Set<String> = []
        var current = verifier
        try SegmentLines.read(path) { line in
            var next = current ?? ChainVerifier(before: line.bytes)
            do throws(ChainFault) {
                guard line.isComplete else { throw .malformed }
                guard next != nil else { throw .malformed }
                try next?.take(line.bytes)
            } catch {
                guard let current, current.sequence >= head.sequence else {
                    throw Self.damaged(
                        directory, "\(ArchiveFiles.segment(head.segment)), line \(line.number): \(error.reason)")
                }
                cut = "\(path) from byte \(line.offset) on: \(line.isComplete ? error.reason : "the row is incomplete")"
                return false
            }
            if next?.sequence == head.sequence, next?.digest != head.digest {
                throw Self.damaged(directory, "row \(head.sequence) is not the one that its head states")
            }
            current = next
            size = line.offset + line.bytes.count + 1
            if let place = ArchiveRow(line.bytes)?.place { places.insert(place) }
            return true
        }
        verifier = current
        self.size = size
        self.cut = cut
        self.places.formUnion(places)
    }

    private static func damaged(_ directory: String, _ reason: String) -> ArchiveError {
        ArchiveError(
            code: .damaged,
            message:
                "the archive \(directory) cannot be continued: \(reason); check it with `orchestra audit verify`, and move it aside to begin another"
        )
    }
}
