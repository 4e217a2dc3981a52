internal import Domain
internal import Glibc

/// Reads the lines of a segment in one pass, with a bounded memory.
enum SegmentLines {
    /// A line of a segment, without its newline.
    struct Line {
        let bytes: ArraySlice<UInt8>
        /// Where it begins in the file.
        let offset: Int
        /// Counted from 1.
        let number: Int
        /// False for what follows the last newline of the file.
        let isComplete: Bool
    }

    /// A longer row is neither written nor read. An event of the queue, written as hexadecimal digits, is shorter.
    static let longest = 64 * 1024 * 1024
    private static let part = 1024 * 1024

    /// Calls `body` for each line between two places of the file, until it returns false. Throws what it throws, and
    /// `ArchiveError` when the file cannot be read or a line is too long.
    static func read(
        _ path: String, from start: Int = 0, to end: Int = .max, _ body: (Line) throws -> Bool
    ) throws {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw ArchiveFiles.error("cannot be read", path, errno) }
        defer { close(file) }
        guard start == 0 || lseek(file, off_t(start), SEEK_SET) >= 0 else {
            throw ArchiveFiles.error("cannot be read", path, errno)
        }
        var (buffer, offset, number) = ([UInt8](), start, 0)
        var part = [UInt8](repeating: 0, count: Self.part)
        var rest = end - start
        while true {
            let count = unsafe Glibc.read(file, &part, min(part.count, rest))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw ArchiveFiles.error("cannot be read", path, errno) }
            guard count > 0 else { break }
            rest -= count
            // What is left of the part before has no newline.
            var searched = buffer.count
            buffer.append(contentsOf: part.prefix(count))
            var begin = 0
            while let end = self.newline(in: buffer, from: searched) {
                number += 1
                let line = Line(
                    bytes: buffer[begin..<end], offset: offset + begin, number: number, isComplete: true)
                guard try body(line) else { return }
                begin = end + 1
                searched = begin
            }
            buffer.removeFirst(begin)
            offset += begin
            guard buffer.count <= Self.longest else {
                throw ArchiveError(
                    code: .damaged, message: "\(path) has a line of more than \(Self.longest) bytes at byte \(offset)")
            }
        }
        if !buffer.isEmpty {
            _ = try body(Line(bytes: buffer[...], offset: offset, number: number + 1, isComplete: false))
        }
    }

    private static func newline(in buffer: [UInt8], from start: Int) -> Int? {
        unsafe buffer.withUnsafeBytes { bytes in
            guard start < bytes.count, let base = bytes.baseAddress,
                let found = unsafe memchr(base + start, 0x0a, bytes.count - start)
            else { return nil }
            return unsafe UnsafeRawPointer(found) - base
        }
    }
}
