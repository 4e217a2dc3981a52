internal import CLinux
internal import Glibc

/// The shim's system calls on descriptors. Each retries EINTR and copies its data; after a failure `errno` has the reason.
enum POSIX {
    enum ReadResult {
        case bytes([UInt8])
        case wouldBlock
        case end
    }

    /// One read of at most `limit` bytes. A terminal whose other side is gone (EIO) is at its end.
    static func read(_ fd: Int32, limit: Int = 64 * 1024) -> ReadResult {
        var count = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, initialized in
            repeat { count = unsafe Glibc.read(fd, buffer.baseAddress, limit) } while count < 0 && errno == EINTR
            initialized = max(0, count)
        }
        if count > 0 { return .bytes(bytes) }
        if count < 0, errno == EAGAIN { return .wouldBlock }
        return .end
    }

    enum ReceiveResult {
        /// Bytes, and the descriptor that came with them or -1.
        case bytes([UInt8], descriptor: Int32)
        case wouldBlock
        case end
    }

    /// Receives at most `limit` bytes of a Unix stream and at most one descriptor.
    static func receive(_ fd: Int32, limit: Int) -> ReceiveResult {
        var descriptor: Int32 = -1
        var count: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, initialized in
            guard let start = buffer.baseAddress else { return }
            count = unsafe orc_receive_descriptor(fd, start, limit, &descriptor)
            initialized = Int(max(0, count))
        }
        if count > 0 { return .bytes(bytes, descriptor: descriptor) }
        return count == -EAGAIN ? .wouldBlock : .end
    }

    /// Bytes of a file from `offset` on; empty at its end.
    static func read(_ fd: Int32, at offset: UInt64, limit: Int) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, initialized in
            var count = 0
            repeat {
                count = unsafe pread(fd, buffer.baseAddress, limit, off_t(clamping: offset))
            } while count < 0 && errno == EINTR
            initialized = max(0, count)
        }
    }

    /// Writes once; how many bytes were taken, 0 when it would block, nil when it failed.
    static func write(_ fd: Int32, _ bytes: ArraySlice<UInt8>) -> Int? {
        var count = 0
        repeat {
            count = unsafe bytes.withUnsafeBufferPointer { unsafe Glibc.write(fd, $0.baseAddress, $0.count) }
        } while count < 0 && errno == EINTR
        if count >= 0 { return count }
        return errno == EAGAIN ? 0 : nil
    }

    /// Writes all to a blocking descriptor; false when it cannot.
    static func writeAll(_ fd: Int32, _ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let count = self.write(fd, rest), count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// A file's contents; nil when it cannot be read, or is larger than the limit.
    static func wholeFile(_ path: String, limit: Int = 16 * 1024 * 1024) -> [UInt8]? {
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        return self.untilEnd(of: fd, limit: limit)
    }

    /// The names in a directory except `.` and `..`; none when it cannot be read.
    static func names(in path: String) -> [String] {
        guard let directory = unsafe opendir(path) else { return [] }
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

    /// An environment variable; nil when it is not set.
    static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }

    /// Two ends of a Unix stream: the first reads what the second writes, and descriptors can go with it. Nil when that fails.
    static func socketPair() -> (reader: Int32, writer: Int32)? {
        var ends: [Int32] = [0, 0]
        guard unsafe orc_socket_pair(&ends) == 0 else { return nil }
        return (ends[0], ends[1])
    }

    /// All bytes until the end; nil when there are more than the limit, or none yet.
    static func untilEnd(of fd: Int32, limit: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count <= limit {
            switch self.read(fd) {
            case .bytes(let more): bytes += more
            case .end: return bytes
            case .wouldBlock: return nil
            }
        }
        return nil
    }

    /// Replaces a file so that a crash leaves the old or the new one, whole. With `isSynced` it is on disk when this returns;
    /// else `sync` writes it. False when that fails.
    static func replaceFile(_ path: String, with bytes: [UInt8], isSynced: Bool = true) -> Bool {
        let draft = path + ".new"
        let fd = unsafe open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else { return false }
        let isWritten = self.writeAll(fd, bytes) && (!isSynced || fsync(fd) == 0)
        close(fd)
        return unsafe isWritten && rename(draft, path) == 0
    }

    /// Writes a file to disk.
    static func sync(_ path: String) {
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else { return }
        _ = fsync(fd)
        close(fd)
    }

    /// Opens a file for appending; -1 when that fails.
    static func openLog(_ path: String) -> Int32 {
        unsafe open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
    }

    /// The length of a file.
    static func length(of fd: Int32) -> UInt64 { UInt64(max(0, lseek(fd, 0, SEEK_END))) }

    /// A new pipe; nil when that fails.
    static func pipe() -> (reader: Int32, writer: Int32)? {
        var ends: [Int32] = [0, 0]
        guard unsafe orc_pipe(&ends) == 0 else { return nil }
        return (ends[0], ends[1])
    }

    /// The signals that a signal descriptor holds, without waiting.
    static func pendingSignals(_ descriptor: Int32) -> [Int32] {
        var signals: [Int32] = []
        while true {
            let number = orc_next_signal(descriptor)
            guard number > 0 else { return signals }
            signals.append(number)
        }
    }

    /// Waits until a descriptor is ready or the time is over; the events of each, in the same order. Negative descriptors are
    /// ignored.
    static func poll(_ wanted: [(fd: Int32, events: Int16)], milliseconds: Int32) -> [Int16] {
        var entries = wanted.map { pollfd(fd: $0.fd, events: $0.events, revents: 0) }
        let count = unsafe Glibc.poll(&entries, nfds_t(entries.count), milliseconds)
        return count > 0 ? entries.map(\.revents) : Array(repeating: 0, count: wanted.count)
    }

    static let readable = Int16(POLLIN)
    static let writable = Int16(POLLOUT)
    static let ended = Int16(POLLHUP | POLLERR)
}
