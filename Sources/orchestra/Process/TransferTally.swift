import Domain

/// What one transfer of a workspace's files has moved, held against its bounds. Knows neither files nor processes.
struct TransferTally {
    /// The bounds of a transfer.
    struct Limits: Hashable, Sendable {
        /// Bytes of the archive.
        let bytes: Int
        /// Files, directories, links and whatever else the archive holds.
        let entries: Int
        /// How long each program of the transfer may run.
        let time: Duration

        /// The bounds where nobody sets others.
        static func standard(bytes: Int = 1 << 30) -> Self {
            Self(bytes: bytes, entries: 100_000, time: .seconds(600))
        }
    }

    let limits: Limits
    private(set) var bytes = 0
    private(set) var entries = 0
    /// The first words that the programs said apart from the list of entries.
    private(set) var problems = ""

    private static let problemLimit = 1000

    init(limits: Limits) { self.limits = limits }

    /// Counts bytes before they are passed on; throws status 65, and counts nothing, when they are too many.
    mutating func move(_ count: Int) throws(CommandError) {
        guard count <= self.limits.bytes - self.bytes else {
            throw CommandError(
                .data, "the archive has more than \(self.limits.bytes) bytes (on the command line: --max-bytes)")
        }
        self.bytes += count
    }

    /// Takes a line that tar wrote while it packs `./…`: the name of an entry, or else a problem. Nil is a line that was
    /// too long for either and counts as an entry. Throws status 65 when there are too many entries.
    mutating func packed(_ line: [UInt8]?) throws(CommandError) {
        if let line, !line.starts(with: Array("./".utf8)) { return self.addProblem(line) }
        try self.countEntry()
    }

    /// Takes the name of an entry that tar unpacks. Throws status 65 for a name that leads out of the directory it is
    /// unpacked into, and when there are too many entries.
    mutating func unpacked(_ line: [UInt8]?) throws(CommandError) {
        let name = String(decoding: line ?? [], as: UTF8.self)
        guard !name.hasPrefix("/"), !name.split(separator: "/").contains("..") else {
            throw CommandError(
                .data,
                "the archive has the name '\(Printable.text(name, limit: 100))'; expected names below the workspace, without '..'"
            )
        }
        try self.countEntry()
    }

    /// Keeps the words of a program for the message of a failure, as far as there is space.
    mutating func addProblem(_ line: [UInt8]) {
        guard self.problems.utf8.count < Self.problemLimit else { return }
        let text = Printable.text(String(decoding: line, as: UTF8.self), limit: 300)
        self.problems += self.problems.isEmpty ? text : "; " + text
    }

    private mutating func countEntry() throws(CommandError) {
        guard self.entries < self.limits.entries else {
            throw CommandError(
                .data, "the archive has more than \(self.limits.entries) entries (on the command line: --max-entries)")
        }
        self.entries += 1
    }
}
