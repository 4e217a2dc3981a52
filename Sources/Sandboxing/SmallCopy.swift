internal import Glibc

/// The content of a small file, or of a directory with few of them, that every user of the host may read. On the read-only
/// root of a sandbox it costs a tenth of a mount, for which the launcher reads the list of all mounts.
struct SmallCopy {
    /// Absolute paths, parents first.
    private(set) var directories: [String] = []
    private(set) var files: [(path: String, content: [UInt8])] = []
    private var size = 0

    private static let largestSize = 128 * 1024
    private static let mostEntries = 16

    /// Nil when it is larger, when it holds anything but files and directories, such as links, or when something in it cannot
    /// be read or may not be read by all: then it is to be mounted. A link as `path` itself is followed. Blocks.
    init?(of path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        do {
            guard try self.add(path, status) else { return nil }
        } catch {
            return nil
        }
    }

    /// False when it is too much.
    private mutating func add(_ path: String, _ status: stat) throws(HostFileError) -> Bool {
        guard self.directories.count + self.files.count < Self.mostEntries, status.st_mode & 0o004 != 0 else {
            return false
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            guard self.size + Int(status.st_size) <= Self.largestSize,
                let content = try HostFiles.contents(of: path, limit: Int(status.st_size))
            else { return false }
            self.size += content.count
            self.files.append((path, content))
            return true
        case S_IFDIR:
            self.directories.append(path)
            for name in try HostFiles.names(in: path)?.sorted() ?? [] {
                let inner = "\(path)/\(name)"
                guard let status = try HostFiles.status(of: inner), try self.add(inner, status) else { return false }
            }
            return true
        default: return false
        }
    }
}
