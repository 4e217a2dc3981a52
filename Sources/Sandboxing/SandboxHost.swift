internal import CLinux
internal import Foundation
internal import ShimProtocol

/// What a sandbox needs to know of the host, read once: programs, namespaces, users that may be given to sandboxes.
package struct SandboxHost: Sendable {
    /// The absolute path of bubblewrap, nil where it is missing.
    package let launcher: String?
    /// The absolute path of the shim, which is the guard too.
    package let shim: String
    package let landlockVersion: Int
    let namespaces: [GuardSpec.Namespace]
    package let hostPaths: Set<String>
    package let subordinates: Subordinates?
    package let controlGroups: ControlGroups
    /// The directory of agents' programs, such as `claude`; nil where none is set.
    package let tools: String?

    /// Users and groups that the host lets this user give to its sandboxes, and the programs that do so.
    package struct Subordinates: Hashable, Sendable {
        package let userMapper: String
        package let groupMapper: String
        package let users: Range<UInt32>
        package let groups: Range<UInt32>
        let user: UInt32
        let group: UInt32
    }

    /// Files and directories of `/etc` that every sandbox shows read-only: what programs below `/usr` need of it and what
    /// holds nothing of the host's own. Only those that the host has.
    package let configuration: [String]

    /// Paths that are used only where the host has them.
    private static let optionalPaths = [
        "/proc/cmdline", "/proc/config.gz", "/proc/keys", "/usr/lib64", "/usr/lib32",
    ]

    /// As `configuration`; Debian's and Fedora's names.
    private static let configurationNames = [
        "alternatives", "ld.so.cache", "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "pki/tls/certs",
        "pki/tls/openssl.cnf", "pki/ca-trust/extracted", "crypto-policies", "services", "protocols", "rpc",
        "mime.types",
        "localtime", "locale.alias", "terminfo", "inputrc", "magic", "groff", "maven", "fonts",
    ]

    /// Beginnings of such names that carry a version.
    private static let configurationPrefixes = ["java-", "python3", "perl"]

    static let namespaceNames = ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"]

    /// Reads what this host has. `launcher` is bubblewrap's path, `program` finds a program by its name;
    /// `controlGroups` are those that were given to this process.
    package init(
        launcher: String?, shim: String, program: (String) -> String?, controlGroups: ControlGroups,
        tools: String? = nil
    ) {
        self.tools = tools
        self.launcher = launcher
        self.shim = shim
        self.landlockVersion = max(0, Int(orc_landlock_version()))
        self.namespaces = Self.namespaceNames.compactMap { name in
            // One that cannot be read is missing in the list, and the guard refuses a list that is empty.
            do {
                return try HostFiles.link("/proc/self/ns/\(name)").map { GuardSpec.Namespace(name: name, link: $0) }
            } catch {
                return nil
            }
        }
        self.configuration = Self.shownConfiguration()
        self.hostPaths = Set(Self.optionalPaths.filter { FileManager.default.fileExists(atPath: $0) })
        self.subordinates = Self.subordinates(program)
        self.controlGroups = controlGroups
    }

    /// A host as given, for tests.
    init(
        launcher: String?, shim: String, landlockVersion: Int, namespaces: [GuardSpec.Namespace] = [],
        configuration: [String] = [], hostPaths: Set<String> = [], subordinates: Subordinates? = nil,
        controlGroups: ControlGroups = ControlGroups(hierarchies: []), tools: String? = nil
    ) {
        self.tools = tools
        self.launcher = launcher
        self.shim = shim
        self.landlockVersion = landlockVersion
        self.namespaces = namespaces
        self.configuration = configuration
        self.hostPaths = hostPaths
        self.subordinates = subordinates
        self.controlGroups = controlGroups
    }

    private static func shownConfiguration() -> [String] {
        // A directory that cannot be listed shows nothing more; `danglingLinks` names what is missed.
        let versioned = ((try? HostFiles.names(in: "/etc")) ?? []).filter { name in
            self.configurationPrefixes.contains { name.hasPrefix($0) }
        }
        return (self.configurationNames + versioned.sorted()).map { "/etc/" + $0 }
            .filter { FileManager.default.isReadableFile(atPath: $0) }
    }

    /// Links below `/usr` that lead into `/etc` or `/var` of this host and nowhere inside a sandbox, each with its target:
    /// for `orchestra doctor`, which names them so that an operator can add them to `read_only_paths`. At most `limit`.
    /// Blocks: it walks all of `/usr`. Throws `HostFileError` when a directory cannot be listed.
    package func danglingLinks(limit: Int = 100) throws -> [(link: String, target: String)] {
        var found: [(link: String, target: String)] = []
        var pending = ["/usr"]
        while let directory = pending.popLast(), found.count < limit {
            for name in try Self.listed(directory) {
                let path = "\(directory)/\(name)"
                guard let status = try HostFiles.status(of: path) else { continue }
                switch status.st_mode & S_IFMT {
                case S_IFDIR: pending.append(path)
                case S_IFLNK:
                    guard let target = try HostFiles.link(path), self.isMissingInside(target), found.count < limit,
                        FileManager.default.fileExists(atPath: target)
                    else { continue }
                    found.append((path, target))
                default: continue
                }
            }
        }
        return found.sorted { $0.link < $1.link }
    }

    /// A directory that was removed meanwhile, or that only root may list, holds nothing for programs inside.
    private static func listed(_ directory: String) throws -> [String] {
        do {
            return try HostFiles.names(in: directory) ?? []
        } catch {
            guard error.code == EACCES else { throw error }
            return []
        }
    }

    /// True for a path of `/etc` or `/var` that a sandbox does not show.
    func isMissingInside(_ path: String) -> Bool {
        guard path.hasPrefix("/etc/") || path.hasPrefix("/var/") else { return false }
        return !self.configuration.contains { path == $0 || path.hasPrefix($0 + "/") }
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
        // Without a range, or with one that cannot be read, there is no tier 3.
        guard let bytes = try? HostFiles.contents(of: path) else { return nil }
        let names = [NSUserName(), String(getuid())]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 3, names.contains(String(fields[0])), let first = UInt32(fields[1]),
                let count = UInt32(fields[2]), count > 0, first > 0, first <= UInt32.max - count
            else { continue }
            return first..<first + count
        }
        return nil
    }
}
