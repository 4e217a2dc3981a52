internal import CLinux
package import Domain
internal import Foundation
internal import Sandboxing
package import ShimProtocol
internal import Terminals

/// The files of one agent on this node: a directory 0700 named by its id, with a directory for each generation (one
/// launch) in it.
///
/// What does not exist is nil, empty or false. What exists and cannot be read throws `HostFileError`: it must never be
/// mistaken for an agent that was never launched. All functions block; call them on a `FileSystemPool`.
package struct AgentDirectory: Sendable {
    package let id: JobID
    package let path: String

    /// The longest path that a Unix socket can have on Linux.
    package static let socketPathLimit = 107
    /// Bytes behind the agents' root in a socket's path: `/<uuid>/<generation>/<name>`.
    package static let socketPathReserve = 1 + 36 + 1 + 6 + 1 + 4

    /// Derives the path `root/id`; neither checks nor creates the directory.
    package init(root: String, id: JobID) {
        self.id = id
        self.path = "\(root)/\(id)"
    }

    /// The directories of all agents below `root`, newest first; none when `root` does not exist.
    package static func all(root: String) throws -> [AgentDirectory] {
        let names = try HostFiles.names(in: root) ?? []
        return names.compactMap { name in
            // What is not named by an id is not an agent's directory.
            do { return AgentDirectory(root: root, id: try JobID(name)) } catch { return nil }
        }.sorted { $0.id.milliseconds > $1.id.milliseconds }
    }

    /// Generations that exist, oldest first.
    package var generations: [Int] {
        get throws { (try HostFiles.names(in: self.path) ?? []).compactMap { Int($0) }.sorted() }
    }

    /// Returns the path of a generation's directory, whether or not it exists.
    package func generationPath(_ generation: Int) -> String { "\(self.path)/\(generation)" }

    /// Where a generation's log begins on disk; a log that keeps only its newest output has more files next to this one.
    package func logPath(_ generation: Int) -> String { "\(self.generationPath(generation))/\(ShimFiles.log)" }

    func socketPath(_ generation: Int) -> String { "\(self.generationPath(generation))/\(ShimFiles.socket)" }

    /// The path of the generation's view with this number; each is used by one tmux server only.
    package func viewPath(_ generation: Int, _ view: Int) -> String { "\(self.generationPath(generation))/t\(view)" }

    /// The number of the newest view whose socket exists, 0 when there is none.
    func latestViewNumber(_ generation: Int) throws -> Int {
        let names = try HostFiles.names(in: self.generationPath(generation)) ?? []
        return names.compactMap { $0.hasPrefix("t") ? Int($0.dropFirst()) : nil }.max() ?? 0
    }

    /// The newest view's socket that exists, nil when there is none.
    package func latestView(_ generation: Int) throws -> String? {
        let number = try self.latestViewNumber(generation)
        return number > 0 ? self.viewPath(generation, number) : nil
    }

    /// The arguments with which tmux shows the generation's newest view, nil when there is none.
    package func attachArguments(_ generation: Int) throws -> [String]? {
        try self.latestView(generation).map { TmuxServer(executable: "tmux", socket: $0).attachArguments }
    }

    /// True while a shim accepts connections on the generation's socket. Throws when that cannot be found out, for example
    /// because this process has no descriptor left.
    package func isAlive(_ generation: Int) throws -> Bool {
        let path = self.socketPath(generation)
        switch -(unsafe orc_probe_unix(path)) {
        case 0: return true
        case ENOENT, ECONNREFUSED: return false
        case let code: throw HostFileError("connected to", path, code: code)
        }
    }

    /// True while a process of this machine is the generation's shim, or is about to start it. Reads the command line of
    /// every process, so it is not to be called often.
    func hasShim(_ generation: Int) throws -> Bool {
        let path = Data(self.generationPath(generation).utf8)
        guard let names = try HostFiles.names(in: "/proc") else {
            throw HostFileError("listed", "/proc", code: ENOENT)
        }
        return try names.contains { name in
            guard Int32(name) != nil, let line = try Self.commandLine(name), let found = line.range(of: path) else {
                return false
            }
            // The path of the tenth launch begins with that of the first.
            return found.upperBound == line.endIndex || line[found.upperBound] == 0
                || line[found.upperBound] == UInt8(ascii: " ")
        }
    }

    /// Nil for a process that has ended, and for one of another user on a host that hides those: it is not ours.
    private static func commandLine(_ process: String) throws -> Data? {
        do {
            return try HostFiles.contents(of: "/proc/\(process)/cmdline", limit: 64 * 1024).map { Data($0) }
        } catch {
            guard error.code == EACCES || error.code == EPERM else { throw error }
            return nil
        }
    }

    /// Makes the directory of a new generation. Throws `AgentError.notGone` when it exists: then another launch has made
    /// it, whose files must not be overwritten.
    func make(generation: Int) throws {
        try HostFiles.makeDirectory(self.path)
        let path = self.generationPath(generation)
        guard unsafe mkdir(path, 0o700) != 0 else { return }
        let code = errno
        guard code == EEXIST else { throw HostFileError("made", path, code: code) }
        throw AgentError(
            code: .notGone, message: "launch \(generation) of agent \(self.id) exists; it was begun by another owner")
    }

    /// Writes a file of a generation, 0600, by replacing it whole.
    func write(_ name: String, _ bytes: [UInt8], generation: Int) throws {
        try HostFiles.replace("\(self.generationPath(generation))/\(name)", with: bytes)
    }

    func makePipe(_ name: String, generation: Int) throws {
        let path = "\(self.generationPath(generation))/\(name)"
        guard unsafe mkfifo(path, 0o600) == 0 else { throw HostFileError("made", path, code: errno) }
    }

    /// The file's bytes, nil when it does not exist.
    func read(_ name: String, generation: Int) throws -> [UInt8]? {
        try HostFiles.contents(of: "\(self.generationPath(generation))/\(name)")
    }

    /// What a generation was launched with, nil when it has no launch file. Throws `AgentError.crashed` for a file that is
    /// malformed.
    func launchSpec(_ generation: Int) throws -> LaunchSpec? {
        guard let bytes = try self.read(ShimFiles.launch, generation: generation) else { return nil }
        do {
            return try LaunchSpec(decoding: bytes)
        } catch {
            throw AgentError(
                code: .crashed, message: "the launch file of agent \(self.id), launch \(generation), is malformed")
        }
    }

    /// The exit record of a generation, nil while it runs and when its shim left none.
    package func exitRecord(_ generation: Int) throws -> ExitRecord? {
        guard let bytes = try self.read(ShimFiles.exit, generation: generation) else { return nil }
        // A malformed record proves nothing, so it counts as none: then the socket and the processes decide.
        do { return try ExitRecord(decoding: bytes) } catch { return nil }
    }

    /// Removes the agent's directory with all that is in it.
    package func remove() throws { try FileManager.default.removeItem(atPath: self.path) }
}
