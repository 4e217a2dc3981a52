internal import Domain

/// One pass over the rows of a chain, which names the row that is at fault.
struct ArchivePass {
    private struct Place {
        let segment: Int
        let line: Int
        let sequence: UInt64
        let offset: Int
        let size: Int
    }

    let directory: String
    private(set) var verifier: ChainVerifier
    private(set) var endsIncomplete = false
    /// The segments with rows behind the head.
    private(set) var unsigned: Set<Int> = []
    private var last: Place?

    /// The number of the last row's line in its segment.
    var lastLine: Int { self.last?.line ?? 0 }

    init(directory: String, verifier: ChainVerifier) {
        self.directory = directory
        self.verifier = verifier
    }

    /// Reads all segments, the last one up to a size. Throws `ArchiveFinding` and `ArchiveError`.
    mutating func run(_ segments: [Int], lastSize: Int, head: ArchiveHead?) throws {
        for segment in segments {
            let path = self.path(segment)
            var (verifier, last, isIncomplete, isUnsigned) = (self.verifier, self.last, false, false)
            let signed = head?.sequence ?? 0
            try SegmentLines.read(path, to: segment == segments.last ? lastSize : .max) { line in
                let place = Place(
                    segment: segment, line: line.number, sequence: verifier.sequence + 1, offset: line.offset,
                    size: line.bytes.count)
                // What follows the last newline was never acknowledged, unless the head says so.
                if !line.isComplete, segment == segments.last, verifier.sequence >= signed, verifier.sequence > 0 {
                    isIncomplete = true
                    return true
                }
                do throws(ChainFault) {
                    guard line.isComplete else { throw .malformed }
                    try verifier.take(line.bytes)
                } catch {
                    throw try self.finding(error, at: place, after: last, line.bytes, head)
                }
                last = place
                if place.sequence > signed { isUnsigned = true }
                return true
            }
            (self.verifier, self.last, self.endsIncomplete) = (verifier, last, isIncomplete)
            if isUnsigned || isIncomplete { self.unsigned.insert(segment) }
        }
    }

    private func path(_ segment: Int) -> String { "\(self.directory)/\(ArchiveFiles.segment(segment))" }

    private static func finding(_ reason: String, _ place: Place) -> ArchiveFinding {
        ArchiveFinding(
            file: ArchiveFiles.segment(place.segment), row: place.line, sequence: place.sequence, reason: reason)
    }

    /// Decides whether the row at which the chain breaks was changed, or the one before it.
    private func finding(
        _ fault: ChainFault, at place: Place, after before: Place?, _ line: ArraySlice<UInt8>, _ head: ArchiveHead?
    ) throws -> ArchiveFinding {
        if let before {
            // A changed byte can end a line early, or join two: then the text before is not JSON any more.
            let text = try self.line(at: before)
            if JSONValue(ifValid: text) == nil { return Self.finding("the row was changed: it is not JSON", before) }
        }
        switch fault {
        case .sequence where JSONValue(ifValid: Array(line)) == nil:
            return Self.finding("the row was changed: it is not JSON", place)
        case .link:
            guard let before else { return Self.finding("the first row of the chain is missing or was changed", place) }
            // The next row, or the head, states which of the two still has its digest.
            var own = ChainVerifier(before: line)
            do throws(ChainFault) { try own?.take(line) } catch { return Self.finding(error.reason, place) }
            guard let own, try self.successor(of: place, head) == own.digest else {
                return Self.finding("the row was changed, or the one before it: \(fault.reason)", place)
            }
            return Self.finding("the row was changed: the next one states another digest of it", before)
        default:
            return Self.finding(fault.reason, place)
        }
    }

    /// The digest of a row that the row after it states, or the head where it is the last.
    private func successor(of place: Place, _ head: ArchiveHead?) throws -> [UInt8]? {
        var next: ChainVerifier?
        for (segment, offset) in [(place.segment, place.offset + place.size + 1), (place.segment + 1, 0)]
        where next == nil && ArchiveFiles.exists(self.path(segment)) {
            try SegmentLines.read(self.path(segment), from: offset) { following in
                next = ChainVerifier(before: following.bytes)
                return false
            }
        }
        if let next { return next.sequence == place.sequence ? next.digest : nil }
        return head?.sequence == place.sequence ? head?.digest : nil
    }

    private func line(at place: Place) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try SegmentLines.read(self.path(place.segment), from: place.offset) { line in
            bytes = Array(line.bytes)
            return false
        }
        return bytes
    }
}
