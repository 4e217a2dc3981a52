internal import CLinux
internal import Glibc
internal import ShimProtocol

/// Records every byte of a terminal in files that only grow, and the times at which they came. With a ring quota the oldest
/// file is removed beyond it: the log is a ring of segments then.
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
    /// Set once something could not be written; nothing more is recorded then.
    private(set) var isBroken = false
    private var pending: (milliseconds: UInt64, count: Int) = (0, 0)

    /// Bytes that come within so many milliseconds share a time.
    private static let grain: UInt64 = 10
    /// A ring has so many segments, each of so many bytes at least.
    private static let segmentsOfRing: UInt64 = 8
    private static let leastSegment: UInt64 = 64 * 1024

    /// Opens the files; nil with errno when that fails. With `ringQuota` only about as many bytes are kept, the newest.
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

    /// The offset of the first byte that is kept.
    var start: UInt64 { self.segments.first?.start ?? 0 }

    private var newest: Segment? { self.segments.last }

    /// Records output that came at this time, in milliseconds.
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
        self.rotate()
    }

    /// Begins a new segment where the newest is full, and removes the oldest beyond the quota.
    private mutating func rotate() {
        guard let ring = self.ring, let newest = self.newest, self.length - newest.start >= ring.segment else { return }
        self.writeTiming()
        // Without a new one the old one grows: no output is lost.
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

    /// Bytes from `offset` on, or from the first that is kept, and their offset; none at the end.
    func read(from offset: UInt64, limit: Int) -> (place: UInt64, bytes: [UInt8]) {
        let place = max(offset, self.start)
        guard let index = self.segments.lastIndex(where: { $0.start <= place }) else { return (place, []) }
        // Not past the segment's end, where the next one begins.
        return (place, POSIX.read(self.segments[index].log, at: place - self.segments[index].start, limit: limit))
    }

    private mutating func writeTiming() {
        guard self.pending.count > 0, let newest = self.newest else { return }
        let pair = LogTiming.pair(milliseconds: self.pending.milliseconds, count: self.pending.count)
        // A time that is lost costs only the pace of a replay.
        _ = POSIX.writeAll(newest.timing, pair)
        self.pending.count = 0
    }

    /// Writes the last time; nothing may be appended afterwards.
    mutating func finish() { self.writeTiming() }

    /// Writes the bytes to disk; their times may be lost with the machine.
    func sync() { for segment in self.segments { _ = fsync(segment.log) } }
}
