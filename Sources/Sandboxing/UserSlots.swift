internal import CLinux
internal import Domain
internal import Foundation
internal import Synchronization

/// Which of the host's users each workspace runs as. A number, once given, stays with its workspace: files there are its.
///
/// Kept in a file of the state directory, a line `number<TAB>path` each, under a lock that all processes of a node heed.
package final class UserSlots: Sendable {
    private let path: String
    private let known = Mutex<[String: UInt32]>([:])

    package init(path: String) { self.path = path }

    /// The workspace's number, from 1 below `count`. Throws `SandboxError` when the file cannot be used or all are taken;
    /// nothing is changed then.
    func slot(of workspace: String, below count: UInt32) throws(SandboxError) -> UInt32 {
        let workspace = URL(fileURLWithPath: workspace).standardizedFileURL.resolvingSymlinksInPath().path
        if let slot = self.known.withLock({ $0[workspace] }) { return slot }
        let lock = unsafe orc_wait_for_file(self.path + ".lock")
        guard lock >= 0 else {
            throw SandboxError(code: .unusableFile, message: "\(self.path).lock cannot be locked: errno \(-lock)")
        }
        defer { close(lock) }
        var slots = try self.read()
        if slots[workspace] == nil {
            let next = (slots.values.max() ?? 0) + 1
            guard next < count else {
                throw SandboxError(
                    code: .exhausted,
                    message: "all \(count) users of /etc/subuid are taken; give this user a larger range")
            }
            guard !workspace.contains("\n") else {
                throw SandboxError(code: .invalidArgument, message: "a workspace's path must be one line")
            }
            slots[workspace] = next
            try self.write(slots)
        }
        let found = slots
        self.known.withLock { $0 = found }
        return slots[workspace] ?? 0
    }

    /// The workspace that has this number, nil when none has.
    func workspace(of slot: UInt32) -> String? { (try? self.read())?.first { $0.value == slot }?.key }

    /// Anything but a file that is not there or is whole throws: a number must never be given twice.
    private func read() throws(SandboxError) -> [String: UInt32] {
        let file = unsafe open(self.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        if file < 0, errno == ENOENT { return [:] }
        guard file >= 0 else {
            throw SandboxError(code: .unusableFile, message: "\(self.path) cannot be read: errno \(errno)")
        }
        let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
        guard let data = try? handle.readToEnd(), data.last == UInt8(ascii: "\n") else {
            throw SandboxError(
                code: .unusableFile,
                message: "\(self.path) cannot be read whole: expected lines of a number, a tab and a path")
        }
        var slots: [String: UInt32] = [:]
        for line in String(decoding: data, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: "\t", maxSplits: 1)
            guard fields.count == 2, let slot = UInt32(fields[0]), !slots.values.contains(slot) else {
                throw SandboxError(
                    code: .unusableFile,
                    message: "\(self.path) holds the line '\(line)'; expected a new number, a tab and a path")
            }
            slots[String(fields[1])] = slot
        }
        return slots
    }

    /// Replaces the file whole.
    private func write(_ slots: [String: UInt32]) throws(SandboxError) {
        let text = slots.sorted { $0.value < $1.value }.map { "\($0.value)\t\($0.key)\n" }.joined()
        let draft = self.path + ".new"
        let file = unsafe open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else {
            throw SandboxError(code: .unusableFile, message: "\(draft) cannot be written: errno \(errno)")
        }
        let bytes = Array(text.utf8)
        let isWritten = unsafe Glibc.write(file, bytes, bytes.count) == bytes.count && fsync(file) == 0
        close(file)
        guard isWritten, unsafe rename(draft, self.path) == 0 else {
            throw SandboxError(code: .unusableFile, message: "\(self.path) cannot be written: errno \(errno)")
        }
    }
}
