internal import CLinux
internal import Glibc
internal import ShimProtocol

/// Keeps every byte of a terminal in a file that only grows, and beside it when it came.
struct Recorder {
    let log: Int32
    private let timing: Int32
    private let start: UInt64
    private(set) var length: UInt64 = 0
    /// Set once something could not be written; nothing more is kept then.
    private(set) var isBroken = false
    private var pending: (milliseconds: UInt64, count: Int) = (0, 0)

    /// Bytes that came within so many milliseconds share a time.
    private static let grain: UInt64 = 10

    /// Opens the files; nil with errno when they cannot be had.
    init?(directory: String, start: UInt64) {
        self.log = POSIX.openLog("\(directory)/\(ShimFiles.log)")
        self.timing = POSIX.openLog("\(directory)/\(ShimFiles.timing)")
        self.start = start
        guard self.log >= 0, self.timing >= 0 else { return nil }
    }

    mutating func append(_ bytes: [UInt8], at now: UInt64) {
        guard !self.isBroken else { return }
        guard POSIX.writeAll(self.log, bytes) else {
            // The disk is full. Part may have been written.
            self.isBroken = true
            self.length = POSIX.length(of: self.log)
            return
        }
        self.length += UInt64(bytes.count)
        let time = now - self.start
        if time - self.pending.milliseconds >= Self.grain { self.writeTiming() }
        if self.pending.count == 0 { self.pending.milliseconds = time }
        self.pending.count += bytes.count
    }

    private mutating func writeTiming() {
        guard self.pending.count > 0 else { return }
        let pair = LogTiming.pair(milliseconds: self.pending.milliseconds, count: self.pending.count)
        // The bytes themselves are what must not be lost.
        _ = POSIX.writeAll(self.timing, pair)
        self.pending.count = 0
    }

    /// Puts the bytes on disk; when they came may be lost with the machine.
    mutating func finish() {
        self.writeTiming()
        _ = fsync(self.log)
    }
}
