internal import CLinux
internal import Foundation
package import Glibc

/// Reads and writes files of the node's own. Absent and unreadable are different answers: what is absent is nil, all
/// else that prevents reading throws.
package enum HostFiles {
    /// The names in a directory, unordered, without `.` and `..`; nil when the directory does not exist.
    package static func names(in path: String) throws(HostFileError) -> [String]? {
        guard let directory = unsafe opendir(path) else {
            let code = errno
            if self.isAbsence(code) { return nil }
            throw HostFileError("listed", path, code: code)
        }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(directory) else { break }
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        let code = errno
        guard code == 0 || self.isAbsence(code) else { throw HostFileError("listed", path, code: code) }
        return names
    }

    /// The bytes of a file from `offset` on, at most `limit`; nil when the file does not exist, or belongs to a process
    /// that has ended.
    package static func contents(
        of path: String, from offset: UInt64 = 0, limit: Int = .max
    ) throws(HostFileError) -> [UInt8]? {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            let code = errno
            if self.isAbsence(code) { return nil }
            throw HostFileError("read", path, code: code)
        }
        defer { close(file) }
        if offset > 0, lseek(file, off_t(clamping: offset), SEEK_SET) < 0 {
            throw HostFileError("read", path, code: errno)
        }
        var bytes: [UInt8] = []
        while bytes.count < limit {
            let wanted = min(64 * 1024, limit - bytes.count)
            var (count, code): (Int, Int32) = (0, 0)
            bytes += unsafe [UInt8](unsafeUninitializedCapacity: wanted) { buffer, initialized in
                repeat { count = unsafe read(file, buffer.baseAddress, wanted) } while count < 0 && errno == EINTR
                code = errno
                initialized = max(0, count)
            }
            if count < 0 {
                if self.isAbsence(code) { return nil }
                throw HostFileError("read", path, code: code)
            }
            if count == 0 { break }
        }
        return bytes
    }

    /// The status of what the path names, symbolic links not followed; nil when there is nothing.
    package static func status(of path: String) throws(HostFileError) -> stat? {
        var status = stat()
        guard unsafe lstat(path, &status) != 0 else { return status }
        let code = errno
        if self.isAbsence(code) { return nil }
        throw HostFileError("looked up", path, code: code)
    }

    /// What a symbolic link says; nil when there is none.
    package static func link(_ path: String) throws(HostFileError) -> String? {
        var (count, code): (Int, Int32) = (0, 0)
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, initialized in
            guard let start = buffer.baseAddress else { return }
            count = unsafe start.withMemoryRebound(to: CChar.self, capacity: buffer.count) {
                unsafe readlink(path, $0, buffer.count)
            }
            code = errno
            initialized = max(0, count)
        }
        if count >= 0 { return String(decoding: bytes, as: UTF8.self) }
        if self.isAbsence(code) { return nil }
        throw HostFileError("read", path, code: code)
    }

    /// Makes a directory 0700 and its missing parents; one that exists is left as it is.
    package static func makeDirectory(_ path: String) throws(HostFileError) {
        guard unsafe mkdir(path, 0o700) != 0 else { return }
        switch errno {
        case EEXIST: return
        case ENOENT:
            let parent = path.split(separator: "/").dropLast().joined(separator: "/")
            guard !parent.isEmpty else { throw HostFileError("made", path, code: ENOENT) }
            try self.makeDirectory((path.hasPrefix("/") ? "/" : "") + parent)
            guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
                throw HostFileError("made", path, code: errno)
            }
        case let code: throw HostFileError("made", path, code: code)
        }
    }

    /// Replaces a file, 0600, so that a crash leaves the old or the new one whole; with `isSynced` it is on disk when this
    /// returns. Nothing is left of the new one when it throws.
    package static func replace(_ path: String, with bytes: [UInt8], isSynced: Bool = false) throws(HostFileError) {
        let draft = path + ".new"
        let file = unsafe open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw HostFileError("written", draft, code: errno) }
        var code = self.write(bytes, to: file)
        if code == 0, isSynced, fsync(file) != 0 { code = errno }
        if close(file) != 0, code == 0 { code = errno }
        if code == 0, unsafe rename(draft, path) != 0 { code = errno }
        guard code != 0 else { return }
        _ = unsafe unlink(draft)
        throw HostFileError("written", path, code: code)
    }

    /// Writes all bytes; 0, or the errno of the write that failed.
    private static func write(_ bytes: [UInt8], to file: Int32) -> Int32 {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBufferPointer { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count < 0 ? errno : EIO }
            rest = rest.dropFirst(count)
        }
        return 0
    }

    /// ESRCH is what files below `/proc` of a process that has ended answer.
    private static func isAbsence(_ code: Int32) -> Bool { code == ENOENT || code == ESRCH }
}
