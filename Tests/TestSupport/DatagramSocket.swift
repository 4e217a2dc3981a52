internal import Foundation
internal import Synchronization

/// A Unix socket that receives datagrams, as a service manager has one.
package final class DatagramSocket: Sendable {
    private let descriptor: Int32
    private let unread = Mutex<[String]>([])

    /// Binds it at a path, in place of nothing.
    package init(path: String) throws {
        self.descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: Array(path.utf8)) }
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw TestFailure("the socket \(path) cannot be bound: \(errno)") }
    }

    deinit { close(self.descriptor) }

    /// True when a line with this beginning has come; it and all lines before it are used up then.
    package func takes(_ beginning: String) -> Bool {
        self.unread.withLock { unread in
            unread += self.lines()
            guard let index = unread.firstIndex(where: { $0.hasPrefix(beginning) }) else { return false }
            unread.removeFirst(index + 1)
            return true
        }
    }

    private func lines() -> [String] {
        var lines: [String] = []
        while true {
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = unsafe recv(self.descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { return lines }
            lines += String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
        }
    }
}
