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
        let list = self.list(user: user, owner: 7, others: 7)
        if self.has(list, directory) { return true }
        // From the leaves up: the list of the top says that all below it have theirs.
        guard self.shareContents(of: directory, with: user, depth: 0) else { return false }
        return self.set(list, directory, "system.posix_acl_default")
            && self.set(list, directory, "system.posix_acl_access")
    }

    private static let deepest = 64

    private static func shareContents(of directory: Int32, with user: UInt32, depth: Int) -> Bool {
        guard depth < self.deepest else { return false }
        for name in POSIX.names(in: "/proc/self/fd/\(directory)") {
            // Not opened for reading: a pipe or a device must not be waited for, a link not followed.
            let entry = unsafe orc_open_path(directory, name)
            guard entry >= 0 else { continue }
            defer { close(entry) }
            var status = stat()
            guard unsafe fstat(entry, &status) == 0, status.st_uid == 0 else { continue }
            let kind = status.st_mode & S_IFMT
            let owner = UInt16(truncatingIfNeeded: (status.st_mode >> 6) & 7)
            if kind == S_IFDIR {
                let opened = unsafe openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                guard opened >= 0 else { continue }
                defer { close(opened) }
                let list = self.list(user: user, owner: 7, others: 7)
                guard self.shareContents(of: opened, with: user, depth: depth + 1),
                    self.set(list, opened, "system.posix_acl_default"),
                    self.set(list, opened, "system.posix_acl_access")
                else { return false }
            } else if kind == S_IFREG {
                // What has another name elsewhere is not the workspace's alone: it may be read.
                let others = status.st_nlink > 1 ? owner & 5 : owner
                let list = self.list(user: user, owner: owner, others: others)
                guard self.set(list, entry, "system.posix_acl_access") else { return false }
            }
        }
        return true
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
    private static func list(user: UInt32, owner: UInt16, others: UInt16) -> [UInt8] {
        let none: UInt32 = .max
        let entries: [(tag: UInt16, permissions: UInt16, id: UInt32)] = [
            (0x01, owner, none), (0x02, owner, 0), (0x02, others, user), (0x04, 0, none), (0x10, owner | others, none),
            (0x20, 0, none),
        ]
        var list = self.bytes(2, 4)
        for entry in entries {
            list +=
                self.bytes(UInt32(entry.tag), 2) + self.bytes(UInt32(entry.permissions), 2) + self.bytes(entry.id, 4)
        }
        return list
    }

    private static func bytes(_ value: UInt32, _ count: UInt32) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }
}
