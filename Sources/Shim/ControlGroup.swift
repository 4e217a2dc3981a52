internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The sandbox's control groups, one in each hierarchy that was given to the node: they limit the whole tree, and nothing in
/// it can run away from them.
struct ControlGroup {
    private struct Leaf {
        let path: String
        let isUnified: Bool
        let limitsMemory: Bool
    }

    private var leaves: [Leaf] = []
    /// What a process writes `0` to in order to join.
    private(set) var entries: [Int32] = []

    /// Makes them, sets their limits, and reads whether they are set; nothing is left of them when one cannot be.
    static func make(_ groups: [LaunchSpec.ControlGroup]) -> Result<ControlGroup, DomainError> {
        var made = ControlGroup()
        for group in groups {
            if let problem = made.add(group) {
                made.closeEntries()
                made.remove()
                return .failure(DomainError.invalidValue(problem))
            }
        }
        return .success(made)
    }

    private mutating func add(_ group: LaunchSpec.ControlGroup) -> String? {
        let leaf = Leaf(
            path: "\(group.parent)/\(ControlGroupNames.prefix)\(getpid())", isUnified: group.isUnified,
            limitsMemory: group.limits.contains { $0.file.hasPrefix("memory.") })
        var tries = 0
        while unsafe mkdir(leaf.path, 0o755) != 0 {
            tries += 1
            guard errno == EEXIST, tries < 100 else {
                return "the control group \(leaf.path) cannot be made: errno \(errno)"
            }
            // A shim that had this number has left it.
            Self.kill(leaf)
            if unsafe rmdir(leaf.path) != 0 { _ = POSIX.poll([], milliseconds: 5) }
        }
        self.leaves.append(leaf)
        for limit in group.limits {
            let path = "\(leaf.path)/\(limit.file)"
            if limit.isOptional, unsafe access(path, F_OK) != 0 { continue }
            guard Self.write(limit.value, to: path), Self.holds(limit, path) else {
                return "the limit \(limit.file) of a control group cannot be set to \(limit.value): errno \(errno)"
            }
        }
        let entry = unsafe open("\(leaf.path)/cgroup.procs", O_WRONLY | O_CLOEXEC)
        guard entry >= 0 else { return "the control group \(leaf.path) cannot be joined: errno \(errno)" }
        self.entries.append(entry)
        return nil
    }

    /// True when the file says what was written, or less where the kernel rounds down.
    private static func holds(_ limit: LaunchSpec.ControlGroup.Limit, _ path: String) -> Bool {
        guard let bytes = POSIX.wholeFile(path, limit: 256) else { return false }
        let text = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first.map(String.init) ?? ""
        if text == limit.value { return true }
        guard let set = UInt64(text), let wanted = UInt64(limit.value) else { return false }
        return set <= wanted
    }

    /// The launcher has them now.
    mutating func closeEntries() {
        for entry in self.entries { close(entry) }
        self.entries = []
    }

    /// Ends everything in the groups; to be called again until they are empty where only processes can be ended one by one.
    func kill() { for leaf in self.leaves { Self.kill(leaf) } }

    private static func kill(_ leaf: Leaf) {
        if leaf.isUnified, self.write("1", to: leaf.path + "/cgroup.kill") { return }
        for process in self.members(leaf) { _ = Glibc.kill(process, SIGKILL) }
    }

    private static func members(_ leaf: Leaf) -> [Int32] {
        let listed = POSIX.wholeFile(leaf.path + "/cgroup.procs") ?? []
        return String(decoding: listed, as: UTF8.self).split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 1 }
    }

    /// How many processes the kernel ended because the memory limit was reached; nil where no group limits memory, or the
    /// kernel does not count (version 1 before Linux 4.13).
    var memoryKills: UInt32? {
        for leaf in self.leaves where leaf.limitsMemory {
            let file = leaf.path + (leaf.isUnified ? "/memory.events" : "/memory.oom_control")
            let text = String(decoding: POSIX.wholeFile(file, limit: 4096) ?? [], as: UTF8.self)
            for line in text.split(separator: "\n") where line.hasPrefix("oom_kill ") {
                return UInt32(line.dropFirst("oom_kill ".count))
            }
        }
        return nil
    }

    /// True when no process is left in any of them.
    var isEmpty: Bool { self.leaves.allSatisfy { Self.members($0).isEmpty } }

    /// How many processes there are in the group that can be frozen as one, once all of them stand still; nil where there is
    /// no such group, or it did not in time.
    func freeze(milliseconds: UInt64) -> Int? {
        guard let leaf = self.leaves.first(where: \.isUnified), Self.write("1", to: leaf.path + "/cgroup.freeze") else {
            return nil
        }
        let deadline = orc_monotonic_milliseconds() + milliseconds
        while orc_monotonic_milliseconds() < deadline {
            let events = POSIX.wholeFile(leaf.path + "/cgroup.events", limit: 4096) ?? []
            if String(decoding: events, as: UTF8.self).contains("frozen 1") { return Self.members(leaf).count }
            _ = POSIX.poll([], milliseconds: 1)
        }
        _ = Self.write("0", to: leaf.path + "/cgroup.freeze")
        return nil
    }

    /// Lets all go on; how many there are, nil where there is no such group.
    func thaw() -> Int? {
        guard let leaf = self.leaves.first(where: \.isUnified), Self.write("0", to: leaf.path + "/cgroup.freeze") else {
            return nil
        }
        return Self.members(leaf).count
    }

    /// Removes them; those that hold a process stay.
    func remove() { for leaf in self.leaves { _ = unsafe rmdir(leaf.path) } }

    private static func write(_ text: String, to path: String) -> Bool {
        let file = unsafe open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return false }
        defer { close(file) }
        return POSIX.write(file, Array(text.utf8)[...]) == text.utf8.count
    }
}
