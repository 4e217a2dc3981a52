import CLinux
import ShimProtocol

@testable import Shim

/// A process tree of no processes, which records what it was asked to do.
final class FakeTree: ProcessTree {
    let pid: Int32 = 42
    let pollDescriptor: Int32 = -1
    var exit: orc_exit?
    var isGone = true
    /// Whether there is a process to ask.
    var hasProcesses = true
    var processCount: Int? = 3
    private(set) var kills = 0
    private(set) var asks = 0

    let guardDescriptor: Int32 = -1
    /// What the guard has passed on.
    var passed: [Int32] = []

    func readReports() {}

    func takeListeners() -> [Int32] {
        defer { self.passed = [] }
        return self.passed
    }
    func reap() -> orc_exit? { self.exit }
    func killTree() { self.kills += 1 }

    func askToEnd(isTerminal: Bool) -> Bool {
        self.asks += 1
        return self.hasProcesses
    }

    func record(of exit: orc_exit, endedBy: ExitRecord.EndedBy) -> ExitRecord {
        ExitRecord(
            endedBy: endedBy, code: exit.code, signal: exit.signal, userMicroseconds: exit.user_microseconds,
            systemMicroseconds: exit.system_microseconds, maxRSSKiB: exit.max_rss_kib)
    }

    func isTreeGone() -> Bool { self.isGone }
    func freeze() -> Int? { self.processCount }
    func thaw() -> Int { self.processCount ?? 0 }

    /// The program ends.
    func end(code: Int32, signal: Int32 = 0) {
        self.exit = orc_exit(code: code, signal: signal, user_microseconds: 1, system_microseconds: 2, max_rss_kib: 3)
    }
}
