internal import CLinux
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
        guard lock >= 0 else { throw SandboxError(message: "\(self.path).lock cannot be locked: errno \(-lock)") }
        defer { close(lock) }
        var slots: [String: UInt32] = [:]
        let text = FileManager.default.contents(atPath: self.path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: "\t", maxSplits: 1)
            guard fields.count == 2, let slot = UInt32(fields[0]) else {
                throw SandboxError(
                    message: "\(self.path) holds the line '\(line)'; expected a number, a tab and a path")
            }
            slots[String(fields[1])] = slot
        }
        if slots[workspace] == nil {
            let next = (slots.values.max() ?? 0) + 1
            guard next < count else {
                throw SandboxError(
                    message: "all \(count) users of /etc/subuid are taken; give this user a larger range")
            }
            guard !workspace.contains("\n"), self.append("\(next)\t\(workspace)\n") else {
                throw SandboxError(message: "\(self.path) cannot be written")
            }
            slots[workspace] = next
        }
        let found = slots
        self.known.withLock { $0 = found }
        return slots[workspace] ?? 0
    }

    /// The workspace that has this number, nil when none has.
    func workspace(of slot: UInt32) -> String? {
        let text = FileManager.default.contents(atPath: self.path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(slot)\t") }
        return line.map { String($0.drop { $0 != "\t" }.dropFirst()) }
    }

    private func append(_ line: String) -> Bool {
        let file = unsafe open(self.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return false }
        defer { close(file) }
        let bytes = Array(line.utf8)
        return unsafe write(file, bytes, bytes.count) == bytes.count && fsync(file) == 0
    }
}
