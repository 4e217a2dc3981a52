internal import CLinux
internal import Glibc
package import Sandboxing

/// The kernel's reports of processes that take another user, for `SecurityScan`. They come when it happens, so that a
/// process is found that would be gone at the next look.
package final class UserChanges: Sendable {
    private let descriptor: Int32
    private let users: Range<UInt32>

    private static let capacity = 256

    /// Opens the reports of processes that take one of `users`. Throws `HostFileError` when the kernel gives no reports:
    /// before Linux 6.6, and in a container with a PID namespace of its own.
    package init(of users: Range<UInt32>) throws(HostFileError) {
        let descriptor = orc_user_changes()
        guard descriptor >= 0 else { throw HostFileError("opened", "the kernel's process events", code: -descriptor) }
        self.descriptor = descriptor
        self.users = users
    }

    deinit { close(self.descriptor) }

    /// The numbers of the processes that took one of the users since the last call; never waits. Reports that the kernel
    /// dropped, because too many came at once, are left to the next look.
    func next() -> [Int32] {
        var found: [Int32] = []
        while true {
            var count: Int32 = 0
            let list = unsafe [orc_user_change](unsafeUninitializedCapacity: Self.capacity) { buffer, used in
                guard let start = buffer.baseAddress else { return }
                count = unsafe orc_next_user_changes(self.descriptor, start, Int32(buffer.count))
                used = Int(max(0, count))
            }
            found += list.filter { self.users.contains($0.user) }.map(\.pid)
            // ENOBUFS says that reports were lost, and the next call has those after them.
            guard Int(count) == Self.capacity || count == -ENOBUFS else { return found }
        }
    }
}
