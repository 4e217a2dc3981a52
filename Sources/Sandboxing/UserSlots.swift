internal import CLinux
internal import Foundation

/// Which of the host's users each workspace runs as. A number stays with its workspace as long as the workspace exists,
/// because files there belong to that user; then it is free again.
///
/// Numbers are kept in a file with lines `number<TAB>path`, under a lock. Nodes of one user share one range of users, so
/// they share one file; each also remembers the numbers of its own workspaces next to them. All functions block.
package final class UserSlots: Sendable {
    /// What this node remembers of its own workspaces.
    private let own: String
    /// The file that decides.
    private let shared: String

    /// How long the lock is waited for; it is held for a few writes.
    private static let lockTimeout = Duration.seconds(10)

    /// `path` is the node's own file, `shared` that of all nodes of its user; without it the node's own file decides.
    package init(path: String, shared: String? = nil) {
        self.own = path
        self.shared = shared ?? path
    }

    /// The file that all nodes of this user share: below the user's home directory, or in `/var/tmp` when that cannot be
    /// written. Its directory is made. Throws `SandboxError` when another user owns that directory or may write to it.
    package static func sharedPath() throws(SandboxError) -> String {
        let home = NSHomeDirectoryForUser(NSUserName()) ?? "/"
        let isUsable = unsafe access(home, W_OK | X_OK) == 0 && home != "/"
        let directory = isUsable ? home + "/.local/state/orchestra" : "/var/tmp/orchestra-\(geteuid())"
        do throws(HostFileError) {
            try HostFiles.makeDirectory(directory)
            guard let status = try HostFiles.status(of: directory), status.st_mode & S_IFMT == S_IFDIR,
                status.st_uid == geteuid(), status.st_mode & 0o022 == 0
            else {
                throw HostFileError("trusted", directory, code: EPERM)
            }
        } catch {
            throw SandboxError(
                message:
                    "the numbers of sandbox users cannot be kept: \(error); expected a directory of this user's own",
                isHostFault: true)
        }
        return directory + "/sandbox-users"
    }

    /// The workspace's number, from 1 below `count`. Throws `SandboxError` when a file cannot be used or all numbers are
    /// taken; nothing is changed then.
    func slot(of workspace: String, below count: UInt32) throws(SandboxError) -> UInt32 {
        let workspace = URL(fileURLWithPath: workspace).standardizedFileURL.resolvingSymlinksInPath().path
        guard !workspace.contains("\n") else { throw SandboxError(message: "a workspace's path must be one line") }
        do throws(HostFileError) {
            let lock = try self.lock()
            defer { close(lock) }
            var slots = try Self.read(self.shared)
            if let slot = slots[workspace], slot < count { return slot }
            var remembered = self.own == self.shared ? [:] : try Self.read(self.own)
            slots = try Self.withoutGone(slots, isExhausted: false)
            guard let slot = try Self.choose(remembered[workspace], among: &slots, below: count) else {
                throw HostFileError("extended", self.shared, code: EUSERS)
            }
            slots[workspace] = slot
            try Self.write(slots, to: self.shared)
            if self.own != self.shared {
                remembered = try Self.withoutGone(remembered, isExhausted: false)
                remembered[workspace] = slot
                try Self.write(remembered, to: self.own)
            }
            return slot
        } catch {
            let message =
                error.code == EUSERS
                ? "all \(count) users of /etc/subuid are taken; give this user a larger range"
                : "the users of sandboxes cannot be numbered: \(error)"
            throw SandboxError(message: message, isHostFault: true)
        }
    }

    /// The workspace that has this number, nil when none has. Throws `HostFileError` when the file cannot be read.
    func workspace(of slot: UInt32) throws(HostFileError) -> String? {
        try Self.read(self.shared).first { $0.value == slot }?.key
    }

    // MARK: - Choosing

    /// The number that a workspace had before when no other one has it now; else one above all that are given, so that a
    /// number rests as long as possible; else the lowest free one. Nil when there is none.
    private static func choose(
        _ remembered: UInt32?, among slots: inout [String: UInt32], below count: UInt32
    ) throws(HostFileError) -> UInt32? {
        if let remembered, (1..<count).contains(remembered), !slots.values.contains(remembered) { return remembered }
        let next = (slots.values.max() ?? 0) + 1
        if next < count { return next }
        slots = try self.withoutGone(slots, isExhausted: true)
        let taken = Set(slots.values)
        return (1..<max(1, count)).first { !taken.contains($0) }
    }

    /// Leaves out workspaces that do not exist any more. Where the directory around one is missing too, its disk may only
    /// be absent for now: then its number is given back only when no other is left.
    private static func withoutGone(
        _ slots: [String: UInt32], isExhausted: Bool
    ) throws(HostFileError) -> [String: UInt32] {
        var kept: [String: UInt32] = [:]
        // Asked once for each directory: there may be thousands of numbers, and other nodes wait for the lock.
        var parents: [Substring: Bool] = [:]
        for (path, slot) in slots {
            if try HostFiles.status(of: path) != nil {
                kept[path] = slot
                continue
            }
            guard !isExhausted else { continue }
            let parent = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
            if parents[parent] == nil { parents[parent] = try HostFiles.status(of: String(parent)) != nil }
            if parents[parent] == false { kept[path] = slot }
        }
        return kept
    }

    // MARK: - The files

    private func lock() throws(HostFileError) -> Int32 {
        let path = self.shared + ".lock"
        let deadline = ContinuousClock.now + Self.lockTimeout
        while true {
            let lock = unsafe orc_lock_file(path)
            if lock >= 0 { return lock }
            guard lock == -EWOULDBLOCK, ContinuousClock.now < deadline else {
                throw HostFileError("locked", path, code: -lock)
            }
            usleep(5000)
        }
    }

    /// Anything but a file that does not exist or is whole throws: a number must never be given twice.
    private static func read(_ path: String) throws(HostFileError) -> [String: UInt32] {
        guard let bytes = try HostFiles.contents(of: path) else { return [:] }
        guard bytes.last == UInt8(ascii: "\n") else { throw HostFileError("read whole", path, code: EBADMSG) }
        var slots: [String: UInt32] = [:]
        var taken: Set<UInt32> = []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: "\t", maxSplits: 1)
            guard fields.count == 2, let slot = UInt32(fields[0]), taken.insert(slot).inserted else {
                throw HostFileError("read (expected lines of a new number, a tab and a path)", path, code: EBADMSG)
            }
            slots[String(fields[1])] = slot
        }
        return slots
    }

    private static func write(_ slots: [String: UInt32], to path: String) throws(HostFileError) {
        let text = slots.sorted { $0.value < $1.value }.map { "\($0.value)\t\($0.key)\n" }.joined()
        try HostFiles.replace(path, with: Array(text.utf8), isSynced: true)
    }
}
