import Agents
import Foundation
import NIOPosix
import SystemPackage

/// Reads and writes descriptors on threads for blocking work, in steps so short that a task which is cancelled ends soon,
/// also where the other side of a pipe does nothing.
struct DescriptorPump: Sendable {
    private let files = FileSystemPool(Self.threads)

    /// Of its own, for the life of the process: three pipes of a transfer wait at the same time, each on a thread, a node
    /// may run four transfers, and the shared pool of a machine with two cores has two.
    private static let threads = {
        let threads = NIOThreadPool(numberOfThreads: 12)
        threads.start()
        return threads
    }()

    /// Milliseconds of one step.
    private static let step: Int32 = 200
    private static let readSize = 64 * 1024
    /// A pipe that is writable has space for this many bytes (`PIPE_BUF`).
    private static let writeSize = 4096

    /// The next bytes, none at the end. Throws `Errno`, and `CancellationError`.
    func next(from descriptor: Int32) async throws -> [UInt8] {
        while true {
            try Task.checkCancellation()
            if let bytes = try await self.files.run({ try Self.arrived(descriptor) }) { return bytes }
        }
    }

    /// Writes all bytes. Throws `Errno`, and `CancellationError`: then some may have been written.
    func write(_ bytes: [UInt8], to descriptor: Int32) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            try Task.checkCancellation()
            let part = rest
            rest = part.dropFirst(try await self.files.run { try Self.written(part, descriptor) })
        }
    }

    /// Nil when nothing came within a step.
    private static func arrived(_ descriptor: Int32) throws -> [UInt8]? {
        guard try self.isReady(descriptor, POLLIN) else { return nil }
        var (count, code): (Int, Int32) = (0, 0)
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: self.readSize) { buffer, initialized in
            count = unsafe read(descriptor, buffer.baseAddress, buffer.count)
            code = errno
            initialized = max(0, count)
        }
        if count < 0, code == EINTR || code == EAGAIN { return nil }
        guard count >= 0 else { throw Errno(rawValue: code) }
        return bytes
    }

    /// How many bytes were written within a step.
    private static func written(_ bytes: ArraySlice<UInt8>, _ descriptor: Int32) throws -> Int {
        var rest = bytes
        while !rest.isEmpty, try self.isReady(descriptor, POLLOUT) {
            let part = rest.prefix(self.writeSize)
            let count = unsafe part.withUnsafeBytes {
                unsafe Foundation.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count >= 0 else { throw Errno(rawValue: errno) }
            rest = rest.dropFirst(count)
        }
        return bytes.count - rest.count
    }

    private static func isReady(_ descriptor: Int32, _ events: Int32) throws -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        let count = unsafe poll(&entry, 1, self.step)
        guard count >= 0 || errno == EINTR else { throw Errno(rawValue: errno) }
        return count > 0
    }
}
