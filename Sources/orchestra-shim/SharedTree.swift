internal import CLinux
internal import Glibc

/// Lets the sandbox's own user into a workspace that stays the node's: POSIX access lists, set from inside the
/// sandbox's user namespace, where the node's user is 0. What the own user makes there inherits that the node may
/// read, write and delete it.
enum SharedTree {
    /// Sets the lists of the directory, and below it where it had none; false with errno when it cannot.
    static func share(_ path: String, with user: UInt32) -> Bool {
        let directory = unsafe open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard directory >= 0 else { return false }
        defer { close(directory) }
        let list = self.list(user: user, isDirectory: true)
        if self.has(list, directory) { return true }
        // From the leaves up: the list of the top says that all below it have theirs.
        self.shareContents(of: directory, with: user, depth: 0)
        return self.set(list, directory, "system.posix_acl_default")
            && self.set(list, directory, "system.posix_acl_access")
    }

    private static let deepest = 64

    private static func shareContents(of directory: Int32, with user: UInt32, depth: Int) {
        guard depth < self.deepest else { return }
        for name in POSIX.names(in: "/proc/self/fd/\(directory)") {
            // Not opened for reading: a pipe or a device must not be waited for, a link not followed.
            let entry = unsafe orc_open_path(directory, name)
            guard entry >= 0 else { continue }
            defer { close(entry) }
            var status = stat()
            guard unsafe fstat(entry, &status) == 0, status.st_uid == 0 else { continue }
            let kind = status.st_mode & S_IFMT
            if kind == S_IFDIR {
                let opened = unsafe openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                guard opened >= 0 else { continue }
                defer { close(opened) }
                self.shareContents(of: opened, with: user, depth: depth + 1)
                let list = self.list(user: user, isDirectory: true)
                _ = self.set(list, opened, "system.posix_acl_default")
                _ = self.set(list, opened, "system.posix_acl_access")
            } else if kind == S_IFREG {
                let isProgram = status.st_mode & 0o100 != 0
                _ = self.set(self.list(user: user, isDirectory: isProgram), entry, "system.posix_acl_access")
            }
        }
    }

    private static func set(_ list: [UInt8], _ descriptor: Int32, _ name: String) -> Bool {
        unsafe orc_set_attribute(descriptor, name, list, list.count) == 0
    }

    private static func has(_ list: [UInt8], _ descriptor: Int32) -> Bool {
        var found = [UInt8](repeating: 0, count: 256)
        let count = unsafe orc_get_attribute(descriptor, "system.posix_acl_access", &found, found.count)
        return Int(count) == list.count && Array(found.prefix(list.count)) == list
    }

    /// `linux/posix_acl_xattr.h`, version 2: the owner, the node's user by name, the own user by name, and nobody else.
    private static func list(user: UInt32, isDirectory: Bool) -> [UInt8] {
        let all: UInt16 = isDirectory ? 7 : 6
        let none: UInt32 = .max
        let entries: [(tag: UInt16, permissions: UInt16, id: UInt32)] = [
            (0x01, all, none), (0x02, all, 0), (0x02, all, user), (0x04, 0, none), (0x10, all, none), (0x20, 0, none),
        ]
        return self.bytes(2, 4)
            + entries.flatMap {
                self.bytes(UInt32($0.tag), 2) + self.bytes(UInt32($0.permissions), 2) + self.bytes($0.id, 4)
            }
    }

    private static func bytes(_ value: UInt32, _ count: UInt32) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }
}
