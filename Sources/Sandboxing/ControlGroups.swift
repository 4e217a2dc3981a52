internal import CLinux
internal import Foundation
package import ShimProtocol

/// The control groups that this process may divide among its sandboxes: one directory in each hierarchy, below which a
/// group is made for every launch.
///
/// They come from whoever set the node up (`Delegate=yes` in a unit, or `ops/`); where nobody did, there are none. See
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

    package init(hierarchies: [Hierarchy]) { self.hierarchies = hierarchies }

    /// Finds what was given to this process, and tries it. Where only its own group of version 2 was given, and not the
    /// one above, this process moves into a group `node` below it: a group that hands on limits may hold no process.
    package static func delegated() -> ControlGroups {
        let read = { (path: String) in
            String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
        }
        let places = self.places(groups: read("/proc/self/cgroup"), mounts: read("/proc/self/mountinfo"))
        return ControlGroups(hierarchies: places.compactMap { $0.hierarchy() })
    }

    // MARK: - Where this process is

    /// A group that this process is in, and what its hierarchy limits as far as its version tells.
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
                // Each for itself: one that is not to be had must not cost the others.
                Self.write("+\(controller.rawValue)", to: parent + "/cgroup.subtree_control")
            }
            let enabled = FileManager.default.contents(atPath: parent + "/cgroup.subtree_control") ?? Data()
            controllers = Set(
                String(decoding: enabled, as: UTF8.self).split(whereSeparator: \.isWhitespace).compactMap {
                    ControlGroups.Controller(rawValue: String($0))
                })
        }
        let trial = "\(parent)/\(ControlGroupNames.trial)\(getpid())"
        guard unsafe mkdir(trial, 0o755) == 0 else { return nil }
        defer { unsafe rmdir(trial) }
        guard unsafe access(trial + "/cgroup.procs", W_OK) == 0 else { return nil }
        return ControlGroups.Hierarchy(parent: parent, controllers: controllers, isUnified: self.isUnified)
    }

    /// The group above this process's own one where that was given to it, so that groups stand beside the node's; else
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

    /// The launcher itself and its two helpers, which count in the group and not inside.
    private static let launcherProcesses = 3
    /// Microseconds; the kernel's own default.
    private static let period = 100_000

    /// Ends and removes the groups of shims that are gone: at tier 1 nothing else would end what a killed shim left. The
    /// names of those that held something.
    package func sweep() -> [String] {
        var held: [String] = []
        for hierarchy in self.hierarchies {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: hierarchy.parent)) ?? []
            for name in names {
                guard name.hasPrefix(ControlGroupNames.prefix),
                    let shim = Int32(name.dropFirst(ControlGroupNames.prefix.count)),
                    kill(shim, 0) != 0, errno == ESRCH
                else { continue }
                let path = "\(hierarchy.parent)/\(name)"
                if !Self.members(path).isEmpty { held.append(name) }
                // What dies takes a moment, and what forks is met again.
                for _ in 0..<50 where unsafe access(path, F_OK) == 0 {
                    Place.write("1", to: path + "/cgroup.kill")
                    for member in Self.members(path) { kill(member, SIGKILL) }
                    if unsafe rmdir(path) != 0, errno == EBUSY { usleep(10_000) }
                }
            }
        }
        return Array(Set(held)).sorted()
    }

    private static func members(_ path: String) -> [Int32] {
        String(decoding: FileManager.default.contents(atPath: path + "/cgroup.procs") ?? Data(), as: UTF8.self)
            .split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 1 }
    }
}
