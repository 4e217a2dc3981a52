internal import CLinux
internal import Foundation
internal import Sandboxing

/// What `/proc` says of a process.
struct ProcessEntry {
    let pid: Int32
    let parent: Int32
    let name: String
    let user: UInt32
    let start: UInt64
    let isDead: Bool

    private static let firstCapacity = 1024

    /// All processes of the host. Throws when they cannot be read, for example for want of a descriptor.
    static func all() throws -> [ProcessEntry] {
        var capacity = self.firstCapacity
        while true {
            let list = try self.list(capacity)
            // A full list may not be all.
            if list.count < capacity { return list.map(Self.init) }
            capacity *= 2
        }
    }

    /// One process; nil when it has ended. Throws when it cannot be read, for example for want of a descriptor.
    static func one(_ pid: Int32) throws -> ProcessEntry? {
        var process = orc_process()
        let result = unsafe orc_process_of(pid, &process)
        switch -result {
        case 0: return ProcessEntry(process)
        case ENOENT, ESRCH: return nil
        case let code: throw HostFileError("read", "/proc/\(pid)", code: code)
        }
    }

    private static func list(_ capacity: Int) throws -> [orc_process] {
        var result: Int32 = 0
        let list = unsafe [orc_process](unsafeUninitializedCapacity: capacity) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            result = unsafe orc_processes(start, Int32(buffer.count))
            count = Int(max(0, result))
        }
        guard result >= 0 else { throw HostFileError("read", "/proc", code: -result) }
        return list
    }

    private init(_ process: orc_process) {
        self.pid = process.pid
        self.parent = process.parent
        self.name = unsafe withUnsafeBytes(of: process.name) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        self.user = process.user
        self.start = process.start
        self.isDead = process.state == CChar(UInt8(ascii: "Z")) || process.state == CChar(UInt8(ascii: "X"))
    }
}
