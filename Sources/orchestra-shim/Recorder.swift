internal import CLinux
internal import Glibc
internal import ShimProtocol

/// Keeps every byte of a terminal in files that only grow, and beside them when each came. Beyond the quota, where that is
/// wanted, the oldest file goes: the log is a ring of segments then.
struct Recorder {
    private struct Segment {
        let start: UInt64
        let log: Int32
        let timing: Int32
    }

    private let directory: String
    private let startedAt: UInt64
    private let ring: (quota: UInt64, segment: UInt64)?
    private var segments: [Segment]
    private(set) var length: UInt64 = 0
    /// Set once something could not be written; nothing more is kept then.
    private(set) var isBroken = false
    private var pending: (milliseconds: UInt64, count: Int) = (0, 0)

    /// Bytes that came within so many milliseconds share a time.
    private static let grain: UInt64 = 10
    /// A ring has so many segments, of so many bytes at least.
    private static let segmentsOfRing: UInt64 = 8
    private static let leastSegment: UInt64 = 64 * 1024

    /// Opens the files; nil with errno when they cannot be had. With `ringQuota` only about as many bytes are kept, the
    /// newest.
    init?(directory: String, start: UInt64, ringQuota: UInt64?) {
        self.directory = directory
        self.startedAt = start
        self.ring = ringQuota.map { ($0, max($0 / Self.segmentsOfRing, Self.leastSegment)) }
        guard let first = Self.open(directory, from: 0) else { return nil }
        self.segments = [first]
    }

    private static func open(_ directory: String, from start: UInt64) -> Segment? {
        let log = POSIX.openLog("\(directory)/\(ShimFiles.log(from: start))")
        let timing = POSIX.openLog("\(directory)/\(ShimFiles.timing(from: start))")
        guard log >= 0, timing >= 0 else {
            if log >= 0 { close(log) }
            return nil
        }
        return Segment(start: start, log: log, timing: timing)
    }

    /// The first byte that is kept.
    var start: UInt64 { self.segments.first?.start ?? 0 }

    private var newest: Segment? { self.segments.last }

    mutating func append(_ bytes: [UInt8], at now: UInt64) {
        guard !self.isBroken, let newest = self.newest else { return }
        guard POSIX.writeAll(newest.log, bytes) else {
            // The disk is full. Part may have been written.
            self.isBroken = true
            self.length = newest.start + POSIX.length(of: newest.log)
            return
        }
        self.length += UInt64(bytes.count)
        let time = now - self.startedAt
        if time - self.pending.milliseconds >= Self.grain { self.writeTiming() }
        if self.pending.count == 0 { self.pending.milliseconds = time }
        self.pending.count += bytes.count
        self.turn()
    }

    /// Begins a new segment where the newest is full, and lets go of the oldest.
    private mutating func turn() {
        guard let ring = self.ring, let newest = self.newest, self.length - newest.start >= ring.segment else { return }
        self.writeTiming()
        // Without a new one the old one grows on: nothing is lost by it.
        guard let next = Self.open(self.directory, from: self.length) else { return }
        self.segments.append(next)
        while self.segments.count > 2,
            self.length - self.segments[1].start >= ring.quota - min(ring.quota, ring.segment)
        {
            let oldest = self.segments.removeFirst()
            close(oldest.log)
            close(oldest.timing)
            _ = unsafe unlink("\(self.directory)/\(ShimFiles.log(from: oldest.start))")
            _ = unsafe unlink("\(self.directory)/\(ShimFiles.timing(from: oldest.start))")
        }
    }

    /// Bytes from `offset` on, or from the first that is kept, and where they begin; none at the end.
    func read(from offset: UInt64, limit: Int) -> (place: UInt64, bytes: [UInt8]) {
        let place = max(offset, self.start)
        guard let index = self.segments.lastIndex(where: { $0.start <= place }) else { return (place, []) }
        // No more than the segment has: the next one begins where it ends.
        return (place, POSIX.read(self.segments[index].log, at: place - self.segments[index].start, limit: limit))
    }

    private mutating func writeTiming() {
        guard self.pending.count > 0, let newest = self.newest else { return }
        let pair = LogTiming.pair(milliseconds: self.pending.milliseconds, count: self.pending.count)
        // The bytes themselves are what must not be lost.
        _ = POSIX.writeAll(newest.timing, pair)
        self.pending.count = 0
    }

    /// Writes what is not written yet; nothing more may come.
    mutating func finish() { self.writeTiming() }

    /// Puts the bytes on disk; when they came may be lost with the machine.
    func sync() { for segment in self.segments { _ = fsync(segment.log) } }
}
