internal import CLinux
internal import Foundation
internal import ShimProtocol

/// What a sandbox needs to know of the host, read once: programs, namespaces, users that may be given away.
package struct SandboxHost: Sendable {
    /// The absolute path of bubblewrap, nil where it is missing.
    package let launcher: String?
    /// The absolute path of the shim, which is the guard too.
    package let shim: String
    package let landlockVersion: Int
    let namespaces: [GuardSpec.Namespace]
    let hostPaths: Set<String>
    package let subordinates: Subordinates?
    package let controlGroups: ControlGroups

    /// Users and groups that the host lets this user give to its sandboxes, and the programs that do so.
    package struct Subordinates: Hashable, Sendable {
        package let userMapper: String
        package let groupMapper: String
        package let users: Range<UInt32>
        package let groups: Range<UInt32>
        let user: UInt32
        let group: UInt32
    }

    /// Paths that are shown inside only where the host has them.
    private static let optionalPaths = [
        "/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs", "/proc/cmdline", "/proc/config.gz", "/proc/keys",
        "/usr/lib64", "/usr/lib32",
    ]

    static let namespaceNames = ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"]

    /// Looks at this host. `launcher` is bubblewrap's path, `program` finds a program by its name;
    /// `controlGroups` are those that were given to this process.
    package init(launcher: String?, shim: String, program: (String) -> String?, controlGroups: ControlGroups) {
        self.launcher = launcher
        self.shim = shim
        self.landlockVersion = max(0, Int(orc_landlock_version()))
        self.namespaces = Self.namespaceNames.compactMap { name in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(name)"))
                .map { GuardSpec.Namespace(name: name, link: $0) }
        }
        self.hostPaths = Set(Self.optionalPaths.filter { FileManager.default.fileExists(atPath: $0) })
        self.subordinates = Self.subordinates(program)
        self.controlGroups = controlGroups
    }

    private static func subordinates(_ program: (String) -> String?) -> Subordinates? {
        guard let userMapper = program("newuidmap"), let groupMapper = program("newgidmap"),
            let users = self.range(in: "/etc/subuid"), let groups = self.range(in: "/etc/subgid")
        else { return nil }
        return Subordinates(
            userMapper: userMapper, groupMapper: groupMapper, users: users, groups: groups, user: getuid(),
            group: getgid())
    }

    /// The first range of this user in such a file (`subuid(5)`), by name or by number.
    private static func range(in path: String) -> Range<UInt32>? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let names = [NSUserName(), String(getuid())]
        for line in String(decoding: data, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 3, names.contains(String(fields[0])), let first = UInt32(fields[1]),
                let count = UInt32(fields[2]), count > 0, first > 0, first <= UInt32.max - count
            else { continue }
            return first..<first + count
        }
        return nil
    }
}
