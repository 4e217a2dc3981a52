internal import CLinux
internal import Foundation
package import ShimProtocol

/// The control groups that this process may divide among its sandboxes: one directory in each hierarchy, below which a
/// group is made for every launch.
///
/// They come from the operator (`Delegate=yes` in a unit, or `ops/`); without that there are none. See
/// cgroups(7) and the kernel's admin-guide/cgroup-v2.
package struct ControlGroups: Hashable, Sendable {
    /// What a hierarchy can limit.
    package enum Controller: String, Hashable, Sendable, CaseIterable {
        case memory
        case processes = "pids"
        case processor = "cpu"
    }

    /// One hierarchy, of either version.
    package struct Hierarchy: Hashable, Sendable {
        /// The directory below which groups may be made.
        package let parent: String
        package let controllers: Set<Controller>
        /// Version 2, where a whole group can be killed and frozen at once.
        package let isUnified: Bool
    }

    package let hierarchies: [Hierarchy]

    /// True when the limits of a whole tree can be set that a profile always has.
    package var canLimit: Bool {
        self.hierarchies.contains { $0.controllers.contains(.memory) }
            && self.hierarchies.contains { $0.controllers.contains(.processes) }
    }

    /// Takes the hierarchies as given; `delegated()` finds those of this process.
    package init(hierarchies: [Hierarchy]) { self.hierarchies = hierarchies }

    /// Finds what was given to this process by trying it. Where only its own group of version 2 was given, and not the
    /// one above, this process moves into a group `node` below it: a group that hands on limits may hold no process.
    package static func delegated() -> ControlGroups {
        let places = self.places(groups: self.text("/proc/self/cgroup"), mounts: self.text("/proc/self/mountinfo"))
        return ControlGroups(hierarchies: places.compactMap { $0.hierarchy() })
    }

    /// A file of the kernel's as text. What is absent or cannot be read gives no group, which is the safe answer: a tier
    /// that demands limits is not offered then.
    fileprivate static func text(_ path: String) -> String {
        do { return String(decoding: try HostFiles.contents(of: path) ?? [], as: UTF8.self) } catch { return "" }
    }

    // MARK: - Where this process is

    /// A group that this process is in, and what its hierarchy limits as far as its version reports it.
    struct Place: Hashable {
        let directory: String
        let root: String
        let controllers: Set<Controller>
        let isUnified: Bool
    }

    /// Brings together `/proc/self/cgroup` and `/proc/self/mountinfo` (proc(5)); what is of no use here is left out.
    static func places(groups: String, mounts: String) -> [Place] {
        let mounted = mounts.split(separator: "\n").compactMap { line -> Mount? in
            let halves = line.split(separator: " - ", maxSplits: 1)
            guard halves.count == 2 else { return nil }
            let (fields, kind) = (halves[0].split(separator: " "), halves[1].split(separator: " "))
            guard fields.count >= 6, kind.count >= 3, kind[0] == "cgroup" || kind[0] == "cgroup2" else { return nil }
            return Mount(
                root: String(fields[3]), directory: String(fields[4]), isUnified: kind[0] == "cgroup2",
                options: Set(kind[2].split(separator: ",").map(String.init)))
        }
        return groups.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return nil }
            let names = fields[1].split(separator: ",").map(String.init)
            let isUnified = fields[0] == "0"
            let controllers = Set(names.compactMap(Controller.init(rawValue:)))
            guard isUnified || !controllers.isEmpty else { return nil }
            let mount = mounted.first {
                $0.isUnified == isUnified && (isUnified || !$0.options.isDisjoint(with: names))
            }
            guard let mount, let below = self.path(String(fields[2]), below: mount.root) else { return nil }
            return Place(
                directory: mount.directory + below, root: mount.directory, controllers: controllers,
                isUnified: isUnified)
        }
    }

    private struct Mount {
        let root: String
        let directory: String
        let isUnified: Bool
        let options: Set<String>
    }

    /// A group's path seen from a mount of the part below `root`; nil when it is not in it.
    private static func path(_ path: String, below root: String) -> String? {
        if root == "/" { return path == "/" ? "" : path }
        if path == root { return "" }
        return path.hasPrefix(root + "/") ? String(path.dropFirst(root.count)) : nil
    }
}

extension ControlGroups.Place {
    /// The hierarchy as far as it was given to this process, found by making a group in it.
    fileprivate func hierarchy() -> ControlGroups.Hierarchy? {
        guard let parent = self.parent() else { return nil }
        var controllers = self.controllers
        if self.isUnified {
            for controller in ControlGroups.Controller.allCases {
                // Each by itself: one that is not available must not cost the others.
                Self.write("+\(controller.rawValue)", to: parent + "/cgroup.subtree_control")
            }
            controllers = Set(
                ControlGroups.text(parent + "/cgroup.subtree_control").split(whereSeparator: \.isWhitespace).compactMap
                {
                    ControlGroups.Controller(rawValue: String($0))
                })
        }
        let trial = "\(parent)/\(ControlGroupNames.trial)\(getpid())"
        guard unsafe mkdir(trial, 0o755) == 0 else { return nil }
        defer { unsafe rmdir(trial) }
        guard unsafe access(trial + "/cgroup.procs", W_OK) == 0 else { return nil }
        return ControlGroups.Hierarchy(parent: parent, controllers: controllers, isUnified: self.isUnified)
    }

    /// The group above this process's own one where that was given to it, so that groups stand next to the node's; else
    /// its own one.
    private func parent() -> String? {
        guard self.directory != self.root else { return nil }
        let above = URL(fileURLWithPath: self.directory).deletingLastPathComponent().path
        if above.count > self.root.count, Self.isGiven(above) { return above }
        guard Self.isGiven(self.directory) else { return nil }
        if self.isUnified {
            let own = self.directory + "/node"
            guard unsafe mkdir(own, 0o755) == 0 || errno == EEXIST, Self.write("0", to: own + "/cgroup.procs") else {
                return nil
            }
        }
        return self.directory
    }

    /// Delegation is by ownership; that a directory could be written by everyone is none.
    private static func isGiven(_ directory: String) -> Bool {
        var status = stat()
        return unsafe stat(directory, &status) == 0 && status.st_uid == geteuid()
            && access(directory + "/cgroup.procs", W_OK) == 0
    }

    @discardableResult
    static func write(_ text: String, to path: String) -> Bool {
        let file = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return unsafe Glibc.write(file, text, text.utf8.count) == text.utf8.count
    }
}

extension ControlGroups {
    /// The groups of one launch, with the profile's limits wherever they can be set.
    package func groups(for profile: SandboxProfile) -> [LaunchSpec.ControlGroup] {
        self.hierarchies.map { hierarchy in
            var limits: [LaunchSpec.ControlGroup.Limit] = []
            func limit(_ file: String, _ value: String, isOptional: Bool = false) {
                limits.append(LaunchSpec.ControlGroup.Limit(file: file, value: value, isOptional: isOptional))
            }
            if hierarchy.controllers.contains(.processes) {
                limit("pids.max", String(profile.processLimit + Self.launcherProcesses))
            }
            if hierarchy.controllers.contains(.memory) {
                let bytes = String(profile.treeMemoryLimit)
                limit(hierarchy.isUnified ? "memory.max" : "memory.limit_in_bytes", bytes)
                // What may not be in memory must not be in swap instead; a kernel without accounting of swap has no file.
                if hierarchy.isUnified {
                    limit("memory.swap.max", "0", isOptional: true)
                } else {
                    limit("memory.memsw.limit_in_bytes", bytes, isOptional: true)
                }
            }
            if hierarchy.controllers.contains(.processor), let percent = profile.processorPercent {
                let quota = percent * Self.period / 100
                if hierarchy.isUnified {
                    limit("cpu.max", "\(quota) \(Self.period)")
                } else {
                    limit("cpu.cfs_period_us", String(Self.period))
                    limit("cpu.cfs_quota_us", String(quota))
                }
            }
            return LaunchSpec.ControlGroup(
                parent: hierarchy.parent, isUnified: hierarchy.isUnified, limits: limits)
        }
    }

    /// The launcher itself, its two helpers and the guard, which count in the group and not inside.
    private static let launcherProcesses = 4
    /// Microseconds; the kernel's own default.
    private static let period = 100_000

    /// True when the memory of a whole tree is limited.
    var limitsMemory: Bool { self.hierarchies.contains { $0.controllers.contains(.memory) } }

    /// One pass over the groups of shims that are gone: kills what is in them and removes those that are empty. At tier 1
    /// nothing else would end what a killed shim left. Returns the names of those that hold or held a process, and of all
    /// that could not be removed yet: what dies takes a moment, so the pass is to be repeated. Throws `HostFileError` when
    /// a hierarchy cannot be read. Blocks briefly.
    package func sweep() throws -> (held: Set<String>, left: Set<String>) {
        var (held, left): (Set<String>, Set<String>) = ([], [])
        for hierarchy in self.hierarchies {
            // A hierarchy that was removed holds nothing.
            for name in try HostFiles.names(in: hierarchy.parent) ?? [] {
                guard name.hasPrefix(ControlGroupNames.prefix),
                    let shim = Int32(name.dropFirst(ControlGroupNames.prefix.count)),
                    kill(shim, 0) != 0, errno == ESRCH
                else { continue }
                let path = "\(hierarchy.parent)/\(name)"
                let members = try Self.members(path)
                if !members.isEmpty { held.insert(name) }
                Place.write("1", to: path + "/cgroup.kill")
                for member in members { kill(member, SIGKILL) }
                if unsafe rmdir(path) != 0, errno != ENOENT { left.insert(name) }
            }
        }
        return (held, left)
    }

    private static func members(_ path: String) throws -> [Int32] {
        // A group that was removed meanwhile has none.
        String(decoding: try HostFiles.contents(of: path + "/cgroup.procs") ?? [], as: UTF8.self)
            .split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 1 }
    }
}
