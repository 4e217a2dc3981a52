import CLinux
import Domain
import Foundation
import Jobs

/// What a node leaves in a directory of workspaces that all nodes share: a file with its incarnation, and a lock that it
/// holds. Other nodes see by them that they have the same files and the same locks.
///
/// The names begin with a dot, which no workspace's name does.
struct SharedDirectory: Sendable {
    private let path: String

    /// `workspaces` is the directory of the workspaces' directories.
    init(workspaces: String) { self.path = workspaces + "/.nodes" }

    /// Leaves the node's file and holds its lock for the life of the process. Throws status 78 when the directory cannot be
    /// used, or another process holds the lock.
    func mark(_ node: NodeID, _ incarnation: Incarnation) throws {
        _ = try Host.privateDirectory(self.path)
        try Host.lock(self.lock(of: node.name), what: "node '\(node)'")
        try Host.writePrivate(self.file(of: node.name), "\(incarnation)\n")
    }

    /// Whether this process sees the file and the lock of a node that runs; says what is wrong when it does not.
    func problem(with node: LivingNode) -> String? {
        do throws(CommandError) {
            let file = self.file(of: node.name)
            guard Host.exists(file) else { return "its file \(file) is not there: the directory is not the same" }
            let text = try InputFile.text(try InputFile.read(file, limit: 64), of: file)
            guard text.trimmingCharacters(in: .whitespacesAndNewlines) == node.incarnation else {
                return "its file \(file) is of another run: the directory is not the same, or shows changes late"
            }
        } catch { return error.message }
        let lock = self.lock(of: node.name)
        let result = unsafe orc_lock_file(lock)
        guard result < 0 else {
            close(result)
            return "its lock \(lock) is not held: locks of one node do not hold on others"
        }
        return result == -EWOULDBLOCK ? nil : "its lock \(lock) cannot be tried: \(Host.reason(-result))"
    }

    private func file(of node: String) -> String { "\(self.path)/\(node)" }
    private func lock(of node: String) -> String { "\(self.path)/\(node).lock" }
}
