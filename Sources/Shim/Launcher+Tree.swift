internal import CLinux
internal import Glibc

/// The processes below this one: ended, stopped, continued.
extension Launcher {
    /// Makes this process the parent of what its descendants leave behind; once, before the first launch.
    static func becomeReaper() -> Bool { orc_become_subreaper() == 0 }

    /// Stops every descendant that there is and kills it, a few times over: one that forks faster is met again by the
    /// next call. Only what is a descendant now is killed, never a number from before.
    static func endDescendants() {
        for _ in 0..<20 {
            let all = self.descendants()
            if all.isEmpty { return }
            for process in all { _ = kill(process, SIGSTOP) }
            for process in all { _ = kill(process, SIGKILL) }
        }
    }

    /// All processes below this one, parents before their children.
    private static func descendants() -> [Int32] {
        var found = self.children(of: getpid())
        var next = 0
        while next < found.count {
            found += self.children(of: found[next])
            next += 1
        }
        return found
    }

    /// Stops the whole tree where it stands, from the top, and again until all of it is seen to stand: one that still runs
    /// could let others go on. How many processes there are; nil when some would not stand still.
    func freeze() -> Int? {
        if let count = self.group.freeze(milliseconds: Self.freezeMilliseconds) { return count }
        let deadline = orc_monotonic_milliseconds() + Self.freezeMilliseconds
        var isFirst = true
        while orc_monotonic_milliseconds() < deadline {
            let all = Self.descendants()
            let running = all.filter { !Self.isStopped($0) }
            if running.isEmpty { return all.count }
            for process in running {
                _ = kill(process, SIGSTOP)
                // One by one at first, so that a shell does not learn that its child was stopped.
                if isFirst, orc_monotonic_milliseconds() < deadline { Self.waitUntilStopped(process) }
            }
            isFirst = false
        }
        // All or nothing: what did stop goes on.
        _ = self.thaw()
        return nil
    }

    private static let freezeMilliseconds: UInt64 = 1000

    private static func isStopped(_ process: Int32) -> Bool {
        let fields = POSIX.wholeFile("/proc/\(process)/stat").map { String(decoding: $0, as: UTF8.self) } ?? ""
        // The name in parentheses may hold anything.
        let state = fields.split(separator: ")").last?.split(separator: " ").first
        return state == nil || state == "T" || state == "t" || state == "Z"
    }

    /// A parent that waits in the kernel would still learn that its child was stopped, and a shell print so.
    private static func waitUntilStopped(_ process: Int32) {
        for _ in 0..<20 where !self.isStopped(process) { _ = POSIX.poll([], milliseconds: 1) }
    }

    /// Lets all go on.
    func thaw() -> Int {
        let count = self.group.thaw()
        // Also where the group was not frozen in time, and signals did it.
        let all = Self.descendants()
        for process in all.reversed() { _ = kill(process, SIGCONT) }
        return count ?? all.count
    }

    /// The children of all threads of a process.
    static func children(of process: Int32) -> [Int32] {
        POSIX.names(in: "/proc/\(process)/task").flatMap { thread in
            let listed = POSIX.wholeFile("/proc/\(process)/task/\(thread)/children") ?? []
            return String(decoding: listed, as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
        }
    }

    /// Kills and reaps every child that there is; true when there is none any more.
    static func endOrphans() -> Bool {
        var areGone = true
        for child in self.children(of: getpid()) {
            if !self.children(of: child).isEmpty { self.endDescendants() }
            _ = kill(child, SIGKILL)
            var ended = orc_exit()
            if unsafe orc_reap(child, &ended) == 0 { areGone = false }
        }
        return areGone
    }
}
