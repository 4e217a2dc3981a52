internal import Domain

/// Verifies a chain from its files alone, as it was at one moment: a node may go on writing to it.
package struct ArchiveVerification {
    private let directory: String
    private let head: [UInt8]?
    private let names: [String]
    private let lastSize: Int

    /// Takes note of what the chain of a directory has now; nil when there is none. Throws `ArchiveError` when that cannot be
    /// read.
    package init?(of directory: String) throws(ArchiveError) {
        // In the order opposite to the writer's, so that all rows that the head states are in what is found after it.
        self.head = try Self.headBytes(of: directory)
        let names = try ArchiveFiles.names(in: directory) ?? []
        guard names.contains(where: { $0 == ArchiveFiles.head || $0.hasSuffix(".jsonl") }) else { return nil }
        let last = ArchiveFiles.segment(ArchiveFiles.segments(among: names).numbers.last ?? 1)
        self.lastSize = try ArchiveFiles.size("\(directory)/\(last)") ?? 0
        self.directory = directory
        self.names = names
    }

    private static func headBytes(of directory: String) throws(ArchiveError) -> [UInt8]? {
        try ArchiveFiles.read("\(directory)/\(ArchiveFiles.head)", limit: 4096)
    }

    /// The head as it is in the directory, unchecked; nil when there is none that can be read. Throws `ArchiveError`.
    package static func head(of directory: String) throws(ArchiveError) -> ArchiveHead? {
        try self.headBytes(of: directory).flatMap { ArchiveHead($0) }
    }

    /// Reads every row and checks every link and signature, and that the chain leads to each of the `anchors` that belong
    /// to it; with `key`, also that it is signed by the key with this fingerprint. Returns what it found and the anchors
    /// that belong to it. Throws `ArchiveFinding` with the first thing that does not hold, `ArchiveError` when a file cannot
    /// be read.
    package func run(anchors: [ArchiveHead] = [], key: String? = nil) throws -> (ArchiveReport, [ArchiveHead]) {
        let segments = try self.segments()
        let head = self.head.flatMap { ArchiveHead($0) }
        var pass = ArchivePass(
            directory: self.directory,
            verifier: ChainVerifier(keeping: ([head].compactMap { $0 } + anchors).map(\.sequence)))
        try pass.run(segments, lastSize: self.lastSize, head: head)
        let verifier = pass.verifier
        var report = ArchiveReport()
        report.node = verifier.node
        report.segments = segments.count
        report.rows = verifier.sequence
        report.events = verifier.events
        report.checkpoints = verifier.checkpoints
        report.keys = verifier.keys
        report.endsIncomplete = pass.endsIncomplete
        try self.check(head, against: pass, &report)
        if let key, !verifier.keys.contains(key) {
            throw ArchiveFinding(file: "", reason: "it is not signed by key \(Printable.text(key))")
        }
        let own = anchors.filter { $0.origin == verifier.origin }
        for anchor in own { try self.check(anchor: anchor, against: verifier) }
        return (report, own)
    }

    private func segments() throws(ArchiveFinding) -> [Int] {
        let (numbers, others) = ArchiveFiles.segments(among: self.names)
        if let other = others.first {
            throw ArchiveFinding(file: Printable.text(other), reason: "the name is not that of a segment")
        }
        for (index, number) in numbers.enumerated() where number != index + 1 {
            throw ArchiveFinding(file: ArchiveFiles.segment(index + 1), reason: "the segment is missing")
        }
        return numbers
    }

    private func check(_ head: ArchiveHead?, against pass: ArchivePass, _ report: inout ArchiveReport) throws {
        let (file, verifier) = (ArchiveFiles.head, pass.verifier)
        guard let head else {
            // A chain gets its head right after its first two rows.
            guard self.head == nil, verifier.sequence <= 2 else {
                throw ArchiveFinding(
                    file: file, reason: self.head == nil ? "the signed head is missing" : "it is malformed")
            }
            report.unsignedRows = verifier.sequence
            return
        }
        guard let signer = verifier.signer(head.key, at: head.sequence), head.isSigned(by: signer) else {
            throw ArchiveFinding(file: file, reason: "the signature of the head does not hold")
        }
        guard head.origin == verifier.origin, head.node == verifier.node else {
            throw ArchiveFinding(file: file, reason: "the head belongs to another chain")
        }
        guard head.sequence <= verifier.sequence else {
            throw ArchiveFinding(
                file: ArchiveFiles.segment(max(1, report.segments)), row: pass.lastLine + 1,
                sequence: verifier.sequence + 1,
                reason:
                    "the chain ends at row \(verifier.sequence), and its signed head states \(head.sequence) rows: its end was removed"
            )
        }
        guard verifier.digest(of: head.sequence) == head.digest else {
            throw ArchiveFinding(
                file: ArchiveFiles.segment(head.segment), row: head.sequence == verifier.sequence ? pass.lastLine : nil,
                sequence: head.sequence, reason: "the row is not the one that the signed head states: it was changed")
        }
        // A step has all its rows in one segment, and its head is written before the next step.
        guard pass.unsigned.count <= 1, report.segments - head.segment <= 1 else {
            throw ArchiveFinding(
                file: ArchiveFiles.segment(report.segments),
                reason: "more is behind the signed head than a node that ends leaves: rows were added")
        }
        report.signedAt = head.time
        report.unsignedRows = verifier.sequence - head.sequence
    }

    private func check(anchor: ArchiveHead, against verifier: ChainVerifier) throws {
        guard let signer = verifier.signer(anchor.key, at: anchor.sequence), anchor.isSigned(by: signer) else {
            throw ArchiveFinding(
                file: "", reason: "the signature of the anchor of row \(anchor.sequence) does not hold")
        }
        guard anchor.sequence <= verifier.sequence else {
            throw ArchiveFinding(
                file: "", sequence: verifier.sequence + 1,
                reason:
                    "the chain ends at row \(verifier.sequence), and an anchor states \(anchor.sequence) rows: its end was removed"
            )
        }
        guard verifier.digest(of: anchor.sequence) == anchor.digest else {
            throw ArchiveFinding(
                file: "", sequence: anchor.sequence,
                reason: "the row is not the one that an anchor states: the chain forked")
        }
    }
}
