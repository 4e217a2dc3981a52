internal import Domain
internal import Glibc

/// The files of one chain: segments of rows, and the head. All calls block.
enum ArchiveFiles {
    static let head = "head.json"
    private static let suffix = ".jsonl"

    /// The file name of a segment.
    static func segment(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + self.suffix
    }

    /// The numbers of the segments, ascending, and names that look like one and are none.
    static func segments(among names: [String]) -> (numbers: [Int], others: [String]) {
        var (numbers, others) = ([Int](), [String]())
        for name in names where name.hasSuffix(self.suffix) {
            if let number = Int(name.dropLast(self.suffix.count)), number > 0, name == self.segment(number) {
                numbers.append(number)
            } else {
                others.append(name)
            }
        }
        return (numbers.sorted(), others.sorted())
    }

    /// The names in a directory; nil when it does not exist.
    static func names(in path: String) throws(ArchiveError) -> [String]? {
        guard let directory = unsafe opendir(path) else {
            let code = errno
            if code == ENOENT { return nil }
            throw self.error("cannot be listed", path, code)
        }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// The bytes of a small file; nil when it does not exist.
    static func read(_ path: String, limit: Int) throws(ArchiveError) -> [UInt8]? {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            let code = errno
            if code == ENOENT { return nil }
            throw self.error("cannot be read", path, code)
        }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: limit)
        var size = 0
        while size < limit {
            let count = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe Glibc.read(file, buffer.baseAddress.map { unsafe $0 + size }, limit - size)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw self.error("cannot be read", path, errno) }
            if count == 0 { break }
            size += count
        }
        return Array(bytes.prefix(size))
    }

    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// The size of a file; nil when it does not exist.
    static func size(_ path: String) throws(ArchiveError) -> Int? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            let code = errno
            if code == ENOENT { return nil }
            throw self.error("cannot be read", path, code)
        }
        return Int(status.st_size)
    }

    /// Makes a directory with mode 0700 unless it exists; its parent must exist.
    static func makeDirectory(_ path: String) throws(ArchiveError) {
        guard unsafe mkdir(path, 0o700) != 0 else { return try self.syncDirectory(of: path) }
        let code = errno
        guard code == EEXIST else { throw self.error("cannot be made", path, code) }
    }

    /// Appends to a file that has `offset` bytes and waits until that is on disk; makes it when `offset` is 0. When anything
    /// fails the file has its former size again.
    static func append(_ bytes: [UInt8], to path: String, at offset: Int) throws(ArchiveError) {
        let flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (offset == 0 ? O_CREAT : 0)
        let file = unsafe open(path, flags, 0o600)
        guard file >= 0 else { throw self.error("cannot be opened", path, errno) }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { throw self.error("cannot be read", path, errno) }
        guard Int(status.st_size) == offset else {
            throw ArchiveError(
                code: .damaged,
                message: "\(path) has \(status.st_size) bytes, expected \(offset): something else wrote to it"
            )
        }
        var code = self.write(bytes, to: file)
        if code == 0, fsync(file) != 0 { code = errno }
        if code == 0, offset == 0 {
            do throws(ArchiveError) { try self.syncDirectory(of: path) } catch {
                _ = ftruncate(file, 0)
                throw error
            }
        }
        guard code == 0 else {
            _ = ftruncate(file, off_t(offset))
            throw self.error("cannot be written", path, code)
        }
    }

    /// Cuts a file to a size and waits until that is on disk; returns whether it was longer.
    @discardableResult
    static func truncate(_ path: String, to size: Int) throws(ArchiveError) -> Bool {
        let file = unsafe open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { throw self.error("cannot be opened", path, errno) }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { throw self.error("cannot be read", path, errno) }
        guard Int(status.st_size) > size else { return false }
        guard ftruncate(file, off_t(size)) == 0, fsync(file) == 0 else {
            throw self.error("cannot be cut", path, errno)
        }
        return true
    }

    /// Removes a file and waits until that is on disk.
    static func remove(_ path: String) throws(ArchiveError) {
        guard unsafe unlink(path) == 0 else { throw self.error("cannot be removed", path, errno) }
        try self.syncDirectory(of: path)
    }

    /// Replaces a file as a whole or not at all; waits until the bytes are on disk. That the name is, too, takes
    /// `syncDirectory`.
    static func replace(_ path: String, with bytes: [UInt8]) throws(ArchiveError) {
        let draft = path + ".new"
        let file = unsafe open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw self.error("cannot be opened", draft, errno) }
        defer { close(file) }
        var code = self.write(bytes, to: file)
        if code == 0, fsync(file) != 0 { code = errno }
        if code == 0, unsafe rename(draft, path) != 0 { code = errno }
        guard code == 0 else {
            _ = unsafe unlink(draft)
            throw self.error("cannot be written", path, code)
        }
    }

    private static func write(_ bytes: [UInt8], to file: Int32) -> Int32 {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count < 0 ? errno : EIO }
            rest = rest.dropFirst(count)
        }
        return 0
    }

    /// Waits until the names in a file's directory are on disk.
    static func syncDirectory(of path: String) throws(ArchiveError) {
        let parent = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let directory = unsafe open(parent.isEmpty ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw self.error("cannot be opened", parent, errno) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw self.error("cannot be written", parent, errno) }
    }

    static func error(_ problem: String, _ path: String, _ code: Int32) -> ArchiveError {
        let reason = unsafe String(cString: strerror(code))
        return ArchiveError(code: .storage, message: "\(Printable.text(path, limit: 400)) \(problem): \(reason)")
    }
}
