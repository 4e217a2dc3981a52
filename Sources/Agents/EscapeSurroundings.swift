internal import CLinux
internal import Domain
internal import Foundation
internal import Sandboxing
internal import Terminals

/// What the escape attempts aim at outside of the sandbox, and what proves that one of them succeeded. All functions block.
struct EscapeSurroundings: Sendable {
    let path: String
    let workspace: String
    let secret: String
    let pane: String
    let tmuxFile: String
    private let words: String
    private let mark: String
    private let memoryFile: String
    private let temporarySocket: String
    private let listeners: [Int32]
    private let port: Int32
    private let sharedMemory: Int32
    private let key: Int32
    private let tool: String

    private static let keyName = "orchestra-escape-test"
    private static let listenerNames = [
        "TCP", "UDP", "a socket's path", "an abstract socket", "a socket in the workspace",
        "a socket in the workspace that others may read", "a socket in /tmp",
    ]

    init(_ directory: String) throws {
        let random = { String(UInt64.random(in: 1 << 60...UInt64.max), radix: 36) }
        self.path = directory + "/outside"
        self.workspace = directory + "/workspace"
        self.secret = "secret-\(random())"
        self.words = "words-\(random())"
        self.mark = String(UInt32.random(in: 100_000_000...UInt32.max))
        self.pane = self.path + "/t"
        self.tmuxFile = self.path + "/tmux.conf"
        self.tool = self.workspace + "/.tool"
        // A test that was cut off left its own.
        for left in [self.path, self.workspace + "/.host-socket", self.workspace + "/.open-socket"] {
            try Self.removeTree(left)
        }
        for made in [self.path, self.workspace] {
            try FileManager.default.createDirectory(
                atPath: made, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        self.memoryFile = "/dev/shm/orchestra-\(random())"
        self.temporarySocket = "/tmp/orchestra-\(random())"
        let tcp = orc_listen_loopback(0, 0)
        self.port = orc_local_port(tcp)
        self.listeners = [
            tcp, orc_listen_loopback(UInt16(clamping: self.port), 1), unsafe orc_listen_unix(self.path + "/s"),
            unsafe orc_listen_abstract(self.words), unsafe orc_listen_unix(self.workspace + "/.host-socket"),
            unsafe orc_listen_unix(self.workspace + "/.open-socket"), unsafe orc_listen_unix(self.temporarySocket),
        ]
        let bytes = Array(self.secret.utf8)
        self.sharedMemory = unsafe orc_share_memory(bytes, bytes.count)
        self.key = unsafe orc_add_key(Self.keyName, bytes, bytes.count)
        guard self.listeners.allSatisfy({ $0 >= 0 }) else {
            self.remove()
            throw AgentError(code: .launchFailed, message: "the surroundings of the escape test could not be made")
        }
    }

    func prepare(tool shim: String) throws {
        try Data((self.secret + "\n").utf8).write(to: URL(fileURLWithPath: self.path + "/secret"))
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o600], ofItemAtPath: self.path + "/secret")
        try Data(TmuxServer.configurationText.utf8).write(to: URL(fileURLWithPath: self.tmuxFile))
        try Data(self.secret.utf8).write(to: URL(fileURLWithPath: self.memoryFile))
        // As a mask of 022 leaves the sockets of most programs.
        guard unsafe chmod(self.workspace + "/.open-socket", 0o755) == 0 else {
            throw HostFileError("opened to others", self.workspace + "/.open-socket", code: errno)
        }
        try Self.removeTree(self.tool)
        try FileManager.default.copyItem(atPath: shim, toPath: self.tool)
    }

    func remove() {
        for listener in self.listeners where listener >= 0 { close(listener) }
        if self.sharedMemory >= 0 { _ = orc_remove_memory(self.sharedMemory) }
        if self.key >= 0 { _ = orc_remove_key(self.key) }
        for made in [self.path, self.workspace, self.memoryFile, self.temporarySocket] {
            // What is left is in a directory of the test's own, and the next test removes it or fails on it.
            try? Self.removeTree(made)
        }
    }

    private static func removeTree(_ path: String) throws {
        guard try HostFiles.status(of: path) != nil else { return }
        try FileManager.default.removeItem(atPath: path)
    }

    func environment(decoy: Int32, workspace: String) -> [String: String] {
        [
            "OUT": self.path, "WORDS": self.words, "MARK": self.mark, "TOOL": workspace + "/.tool",
            "DECOY": String(decoy), "PORT": String(self.port), "NAME": self.words, "SOCKET": self.path + "/s",
            "TEMPORARY": self.temporarySocket,
            "PANE": self.pane, "SHARED": String(self.sharedMemory), "KEY": Self.keyName,
        ]
    }

    /// The first sign that an attempt succeeded, nil when there is none. Throws `HostFileError` when the outside cannot be
    /// examined: then nothing is known of the attempt.
    func evidence(of output: [UInt8], decoy: Int32) throws -> String? {
        let text = String(decoding: output, as: UTF8.self)
        if text.contains(self.secret) { return "the secret came out" }
        let lines = text.split(whereSeparator: \.isNewline)
        if lines.contains(where: { $0 == self.words }) { return "it got what it must not get: \(text.prefix(300))" }
        let known: Set<String> = ["secret", "s", "t", "tmux.conf"]
        let found = Set(try HostFiles.names(in: self.path) ?? [])
        if found != known { return "outside there is now \(found.symmetricDifference(known).sorted())" }
        if try HostFiles.contents(of: self.path + "/secret") != Array((self.secret + "\n").utf8) {
            return "the file outside was changed"
        }
        var status = stat()
        guard unsafe stat(self.path, &status) == 0, status.st_mode & 0o7777 == 0o700,
            unsafe stat(self.path + "/secret", &status) == 0, status.st_mode & 0o7777 == 0o600
        else { return "modes outside were changed" }
        for (index, listener) in self.listeners.enumerated() where orc_pending_connection(listener) == 1 {
            return "it reached the host by \(Self.listenerNames[index])"
        }
        if try Self.isDead(decoy) { return "the process outside is dead" }
        if let survivor = try self.survivor() { return "a process is left: \(survivor)" }
        if let program = try self.setIDProgram() { return "a set-id program was left: \(program)" }
        return nil
    }

    private static func isDead(_ process: Int32) throws -> Bool {
        guard let status = try HostFiles.contents(of: "/proc/\(process)/status") else { return true }
        return String(decoding: status, as: UTF8.self).contains("State:\tZ")
    }

    /// A living process that carries the mark; a zombie is dead.
    private func survivor() throws -> String? {
        for name in try HostFiles.names(in: "/proc") ?? [] where Int32(name) != nil {
            guard let arguments = try Self.commandLine(name),
                String(decoding: arguments, as: UTF8.self).contains(".\(self.mark)")
            else { continue }
            return "process \(name)"
        }
        return nil
    }

    /// Nil for a process that has ended, and for one of another user on a host that hides those.
    private static func commandLine(_ process: String) throws -> [UInt8]? {
        do {
            return try HostFiles.contents(of: "/proc/\(process)/cmdline", limit: 64 * 1024)
        } catch {
            guard error.code == EACCES || error.code == EPERM else { throw error }
            return nil
        }
    }

    private func setIDProgram() throws -> String? {
        try (try HostFiles.names(in: self.workspace) ?? []).first { name in
            guard let status = try HostFiles.status(of: "\(self.workspace)/\(name)") else { return false }
            return status.st_mode & S_IFMT == S_IFREG && status.st_mode & 0o6000 != 0
        }
    }
}
