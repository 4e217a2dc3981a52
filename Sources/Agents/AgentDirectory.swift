internal import CLinux
package import Domain
package import Foundation
package import ShimProtocol
internal import Screens
internal import Terminals

/// The files of one agent on this node: a directory 0700 by its id, in it one by generation (one launch).
package struct AgentDirectory: Sendable {
    package let id: JobID
    package let path: String

    /// The longest path that a Unix socket can have on Linux.
    package static let socketPathLimit = 107
    /// Bytes behind the agents' root in a socket's path: `/<uuid>/<generation>/<name>`.
    package static let socketPathReserve = 1 + 36 + 1 + 6 + 1 + 4

    package init(root: String, id: JobID) {
        self.id = id
        self.path = "\(root)/\(id)"
    }

    /// The directories of all agents below `root`, newest first.
    package static func all(root: String) -> [AgentDirectory] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return names.compactMap { try? JobID($0) }.map { AgentDirectory(root: root, id: $0) }
            .sorted { $0.id.milliseconds > $1.id.milliseconds }
    }

    /// Generations that exist, oldest first.
    package var generations: [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: self.path)) ?? []
        return names.compactMap { Int($0) }.sorted()
    }

    package func generationPath(_ generation: Int) -> String { "\(self.path)/\(generation)" }

    /// Where a generation's log begins on disk; one that keeps only its newest output has more files beside this one.
    package func logPath(_ generation: Int) -> String { "\(self.generationPath(generation))/\(ShimFiles.log)" }

    /// The parts of a generation's log that there are, the oldest first.
    private func logParts(_ generation: Int) -> [(start: UInt64, path: String)] {
        let path = self.generationPath(generation)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.compactMap { name in ShimFiles.offset(ofLog: name).map { ($0, "\(path)/\(name)") } }
            .sorted { $0.start < $1.start }
    }

    /// How many bytes the terminal has shown in all.
    package func logLength(_ generation: Int) -> UInt64 {
        guard let newest = self.logParts(generation).last else { return 0 }
        var status = stat()
        guard unsafe stat(newest.path, &status) == 0 else { return newest.start }
        return newest.start + UInt64(max(0, status.st_size))
    }

    /// All that is kept of a generation's log, and where it begins; nil when there is none.
    package func wholeLog(_ generation: Int) -> (start: UInt64, bytes: [UInt8])? {
        guard let first = self.logParts(generation).first else { return nil }
        var (bytes, next): ([UInt8], UInt64) = ([], first.start)
        while true {
            let part = self.log(generation, from: next, limit: 16 * 1024 * 1024)
            if part.bytes.isEmpty { return (first.start, bytes) }
            // What went meanwhile leaves a gap, and what came before it is of no use.
            if part.place > next { bytes = [] }
            bytes += part.bytes
            next = part.place + UInt64(part.bytes.count)
        }
    }

    func socketPath(_ generation: Int) -> String { "\(self.generationPath(generation))/\(ShimFiles.socket)" }

    /// The path of the generation's view with this number; each is used by one tmux server only.
    package func viewPath(_ generation: Int, _ view: Int) -> String { "\(self.generationPath(generation))/t\(view)" }

    /// The newest view's socket that exists, nil when there is none.
    package func latestView(_ generation: Int) -> String? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: self.generationPath(generation))) ?? []
        let numbers = names.compactMap { $0.hasPrefix("t") ? Int($0.dropFirst()) : nil }
        return numbers.max().map { self.viewPath(generation, $0) }
    }

    /// The arguments with which tmux shows the generation's newest view, nil when there is none.
    package func attachArguments(_ generation: Int) -> [String]? {
        self.latestView(generation).map { TmuxServer(executable: "tmux", socket: $0).attachArguments }
    }

    /// True while a shim answers on the generation's socket.
    package func isAlive(_ generation: Int) -> Bool {
        unsafe orc_probe_unix(self.socketPath(generation)) == 0
    }

    /// True while a process of this machine is the generation's shim, or is about to start it.
    func hasShim(_ generation: Int) -> Bool {
        let path = Data(self.generationPath(generation).utf8)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.contains { name in
            guard Int32(name) != nil, let line = FileManager.default.contents(atPath: "/proc/\(name)/cmdline"),
                let found = line.range(of: path)
            else { return false }
            // Not that of the tenth launch for the first's.
            return found.upperBound == line.endIndex || line[found.upperBound] == 0
                || line[found.upperBound] == UInt8(ascii: " ")
        }
    }

    /// Makes the directory of a new generation.
    func make(generation: Int) throws {
        try FileManager.default.createDirectory(
            atPath: self.generationPath(generation), withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
    }

    /// Writes a file of a generation, 0600, by replacing it whole.
    func write(_ name: String, _ bytes: [UInt8], generation: Int) throws {
        let target = "\(self.generationPath(generation))/\(name)"
        let draft = target + ".new"
        guard
            FileManager.default.createFile(
                atPath: draft, contents: Data(bytes), attributes: [.posixPermissions: 0o600])
        else { throw AgentError(code: .launchFailed, message: "the file \(draft) cannot be written") }
        guard unsafe rename(draft, target) == 0 else {
            throw AgentError(code: .launchFailed, message: "the file \(target) cannot be written")
        }
    }

    func makePipe(_ name: String, generation: Int) throws {
        guard unsafe mkfifo("\(self.generationPath(generation))/\(name)", 0o600) == 0 else {
            throw AgentError(code: .launchFailed, message: "the pipe '\(name)' cannot be made: error \(errno)")
        }
    }

    /// The file's bytes, nil when there is none.
    func read(_ name: String, generation: Int) -> [UInt8]? {
        FileManager.default.contents(atPath: "\(self.generationPath(generation))/\(name)").map { Array($0) }
    }

    /// The exit record of a generation, nil while it runs and when its shim left none.
    package func exitRecord(_ generation: Int) -> ExitRecord? {
        self.read(ShimFiles.exit, generation: generation).flatMap { try? ExitRecord(decoding: $0) }
    }

    /// What the agent said beside its terminal after this number: `{"n":…,"ms":…,"event":{…}}`. A line that is no JSON
    /// is left out.
    package func events(_ generation: Int, after number: UInt64) -> [JSONValue] {
        let bytes = self.read(ShimFiles.events, generation: generation) ?? []
        return bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
            guard let value = try? JSONParser.parse(Array(line)), let n = value["n"]?.integer,
                n > Int64(clamping: number)
            else { return nil }
            return value
        }
    }

    /// When the bytes of a generation's log came: milliseconds since the launch and how many.
    package func timing(_ generation: Int) -> [(milliseconds: UInt64, count: Int)] {
        self.logParts(generation).flatMap {
            LogTiming.pairs(self.read(ShimFiles.timing(from: $0.start), generation: generation) ?? [])
        }
    }

    /// Bytes of a generation's terminal log from a place on, or from the first that is kept, at most `limit`, and where
    /// they begin; none when there are none yet.
    package func log(_ generation: Int, from offset: UInt64, limit: Int) -> (place: UInt64, bytes: [UInt8]) {
        let parts = self.logParts(generation)
        let place = max(offset, parts.first?.start ?? 0)
        guard let part = parts.last(where: { $0.start <= place }), let handle = FileHandle(forReadingAtPath: part.path)
        else { return (place, []) }
        defer { try? handle.close() }
        do {
            try handle.seek(toOffset: place - part.start)
            return (place, Array(try handle.read(upToCount: limit) ?? Data()))
        } catch {
            return (place, [])
        }
    }

    /// What a generation's screen shows, or showed last, without the empty lines at its end; nil when it has no log.
    package func screen(_ generation: Int) -> [String]? {
        guard !self.logParts(generation).isEmpty, let bytes = self.read(ShimFiles.launch, generation: generation),
            let spec = try? LaunchSpec(decoding: bytes)
        else { return nil }
        var screen = TerminalScreen(columns: Int(spec.columns), rows: Int(spec.rows))
        let tail = self.logTail(generation, limit: 256 * 1024)
        let (sizes, start) = (self.sizes(generation), self.logLength(generation) - UInt64(tail.count))
        if let size = sizes.size(at: start) { screen.resize(columns: Int(size.columns), rows: Int(size.rows)) }
        screen.feed(tail, at: start, sizes)
        var lines = screen.lines
        while lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    /// The last bytes of a generation's terminal log.
    package func logTail(_ generation: Int, limit: Int) -> [UInt8] {
        let length = self.logLength(generation)
        var (bytes, next): ([UInt8], UInt64) = ([], length - min(length, UInt64(limit)))
        while bytes.count < limit {
            let part = self.log(generation, from: next, limit: limit - bytes.count)
            if part.bytes.isEmpty { break }
            bytes += part.bytes
            next = part.place + UInt64(part.bytes.count)
        }
        return bytes
    }

    /// Keeps what the agent does, for people; a file that cannot be written is only less to see.
    func note(_ condition: AgentStatus) {
        let value: JSONValue = [
            "state": .string(condition.state.rawValue), "evidence": .string(condition.evidence),
        ]
        _ = FileManager.default.createFile(
            atPath: "\(self.path)/\(ShimFiles.state)", contents: Data(value.bytes),
            attributes: [.posixPermissions: 0o600])
    }

    /// What the agent does: as its node noted it, unless its last launch says otherwise.
    package var condition: AgentStatus {
        guard let generation = self.generations.last else {
            return AgentStatus(state: .unknown, evidence: "it has no launch on this machine")
        }
        let bytes = FileManager.default.contents(atPath: "\(self.path)/\(ShimFiles.state)").map { Array($0) } ?? []
        let noted = (try? JSONParser.parse(bytes)).flatMap { value in
            (value["state"]?.string).flatMap(AgentState.init(rawValue:)).map {
                AgentStatus(state: $0, evidence: value["evidence"]?.string ?? "")
            }
        }
        if noted?.state == .quarantined, let noted { return noted }
        if let record = self.exitRecord(generation) {
            return AgentStatus(state: AgentState(of: record), evidence: "its exit record: \(record.summary)")
        }
        guard self.isAlive(generation) else {
            return AgentStatus(state: .unknown, evidence: "its shim does not answer and left no exit record")
        }
        return noted ?? AgentStatus(state: .unknown, evidence: "its node has not said")
    }

    /// When its last launch ended; nil while it may run, and when its shim left no record.
    package var endedAt: Date? {
        guard let last = self.generations.last, self.exitRecord(last) != nil else { return nil }
        let path = "\(self.generationPath(last))/\(ShimFiles.exit)"
        return (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
    }

    /// Takes away the directories of agents that ended before `limit` and are not among `kept`; how many.
    package static func removeEnded(root: String, before limit: Date, except kept: Set<JobID>) -> Int {
        self.all(root: root).count { directory in
            guard !kept.contains(directory.id), let end = directory.endedAt, end < limit else { return false }
            return (try? directory.remove()) != nil
        }
    }

    package func remove() throws { try FileManager.default.removeItem(atPath: self.path) }
}

/// What an agent does, and what that is concluded from.
package struct AgentStatus: Hashable, Sendable {
    package let state: AgentState
    package let evidence: String

    package init(state: AgentState, evidence: String) {
        self.state = state
        self.evidence = evidence
    }
}
