internal import CLinux
package import Domain
internal import Foundation
internal import Sandboxing
package import ShimProtocol

/// The secrets of workspaces: files `WORKSPACE/NAME` of a directory that only the node's user may read.
package struct SecretStore: Sendable {
    private let root: String

    /// The most bytes that one may have; all of a program's go through one pipe at once.
    package static let limit = 8 * 1024

    /// Takes the path of the directory; reads and checks nothing yet.
    package init(root: String) { self.root = root }

    /// The secrets of these names. Throws `AgentError.launchFailed` for one that does not exist, is empty or too long, or
    /// that others may read, and `hostUnavailable` when this node cannot read it now. Blocks.
    package func secrets(_ names: [DefinitionName], of workspace: WorkspaceID) throws -> [LaunchSpec.Secret] {
        try names.map { LaunchSpec.Secret(name: $0.name, bytes: try self.secret($0, of: workspace)) }
    }

    private func secret(_ name: DefinitionName, of workspace: WorkspaceID) throws -> [UInt8] {
        let path = "\(self.root)/\(workspace)/\(name)"
        func unusable(_ problem: String) -> AgentError {
            AgentError(code: .launchFailed, message: "the secret '\(name)' of workspace '\(workspace)' \(problem)")
        }
        let expected = "expected the file \(path), mode 0600, owned by the node's user"
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            let code = errno
            switch code {
            case ENOENT: throw unusable("cannot be read: \(expected); the file does not exist")
            case ELOOP, EACCES, ENXIO:
                throw unusable("cannot be read: \(expected); \(HostFileError.reason(code))")
            default: throw AgentError(HostFileError("read", path, code: code))
            }
        }
        let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
        var status = stat()
        guard unsafe fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(),
            status.st_mode & 0o077 == 0
        else { throw unusable("may be read by others: \(expected)") }
        let data: Data?
        do { data = try handle.read(upToCount: Self.limit + 1) } catch {
            throw AgentError(HostFileError("read", path, code: EIO))
        }
        guard let data, data.count <= Self.limit else {
            throw unusable("is empty or longer than \(Self.limit) bytes")
        }
        return Array(data)
    }
}
