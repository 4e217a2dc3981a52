internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The server's own system calls on descriptors.
enum Descriptors {
    /// How long a shim may take to send its hello, in milliseconds. It sends it with its connection.
    private static let helloMilliseconds: UInt64 = 1000

    /// What came of a connection.
    enum Hello {
        case listener(EgressHello, Int32)
        /// It ended without a byte: another process checked whether the server is there.
        case probe
        case malformed
    }

    /// Waits until there is something to read; false when the time is over first.
    static func waitUntilReadable(_ descriptor: Int32, milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, milliseconds) > 0
    }

    /// Receives the line of a shim and the listener that comes with it, within one limit for all of it.
    static func receiveHello(_ connection: Int32) -> Hello {
        var line: [UInt8] = []
        var listener: Int32 = -1
        let end = orc_monotonic_milliseconds() + self.helloMilliseconds
        func left() -> Int32 { Int32(clamping: end - min(end, orc_monotonic_milliseconds())) }
        while line.last != UInt8(ascii: "\n"), line.count <= EgressHello.limit,
            self.waitUntilReadable(connection, milliseconds: left())
        {
            var passed: Int32 = -1
            var count: Int32 = 0
            line += unsafe [UInt8](unsafeUninitializedCapacity: EgressHello.limit) { buffer, initialized in
                guard let start = buffer.baseAddress else { return }
                count = unsafe orc_receive_descriptor(connection, start, EgressHello.limit, &passed)
                initialized = Int(max(0, count))
            }
            if passed >= 0 {
                if listener >= 0 { close(listener) }
                listener = passed
            }
            if count == 0, line.isEmpty { return .probe }
            if count <= 0 { break }
        }
        guard listener >= 0 else { return .malformed }
        do throws(DomainError) {
            return .listener(try EgressHello(decoding: Array(line.dropLast())), listener)
        } catch {
            close(listener)
            return .malformed
        }
    }
}
