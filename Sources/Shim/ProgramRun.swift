internal import CLinux
internal import Glibc
internal import ShimProtocol

/// One program from its launch to its exit record: what every kind of session does about its end.
struct ProgramRun {
    var tree: any ProcessTree
    private let isTerminal: Bool
    /// Milliseconds that a program has to end after it was asked to.
    private let stopGrace: UInt64
    private(set) var exit: orc_exit?
    private(set) var exitSeenAt: UInt64 = 0
    private(set) var endedBy = ExitRecord.EndedBy.itself
    /// When a program that was asked to end is killed.
    private(set) var killAt: UInt64?
    private(set) var handover: ListenerHandover

    init(tree: any ProcessTree, isTerminal: Bool, stopGrace: UInt32, egress: LaunchSpec.Egress? = nil) {
        self.handover = ListenerHandover(egress)
        self.tree = tree
        self.isTerminal = isTerminal
        self.stopGrace = UInt64(stopGrace)
    }

    var hasExited: Bool { self.exit != nil }

    /// Reaps the program when it has ended.
    mutating func reap(at now: UInt64) {
        guard self.exit == nil, let exit = self.tree.reap() else { return }
        self.exit = exit
        self.exitSeenAt = now
        self.handover.end()
    }

    /// What to poll for the listener of the sandbox: the guard's report until the listener has come, then the connection to
    /// the egress server.
    var handoverDescriptor: Int32 {
        guard self.exit == nil else { return -1 }
        return self.handover.needsListener ? self.tree.guardDescriptor : self.handover.pollDescriptor
    }

    /// Does what is next for the listener of the sandbox. To be called in each turn of a session.
    mutating func handOver(at now: UInt64) {
        guard self.exit == nil else { return }
        if self.handover.needsListener { for listener in self.tree.takeListeners() { self.handover.take(listener) } }
        self.handover.turn(now)
    }

    /// Kills the tree. The first reason to end it is the one that is recorded.
    mutating func end(_ reason: ExitRecord.EndedBy) {
        guard self.exit == nil, self.endedBy == .itself || self.killAt != nil else { return }
        if self.endedBy == .itself { self.endedBy = reason }
        self.killAt = nil
        self.tree.killTree()
    }

    /// Asks the program to end, and kills it after the grace period; a frozen one, which could not react, at once.
    mutating func stop(at now: UInt64, isFrozen: Bool = false) {
        guard self.exit == nil, self.endedBy == .itself else { return }
        guard !isFrozen, self.tree.askToEnd(isTerminal: self.isTerminal) else { return self.end(.stop) }
        self.endedBy = .stop
        self.killAt = now + self.stopGrace
    }

    /// Kills a program that did not end within its grace period.
    mutating func killIfOverdue(at now: UInt64) {
        if let killAt = self.killAt, now >= killAt { self.end(.stop) }
    }

    /// The record of the program's end. Only when it has exited and its tree is gone: the record is the proof of both.
    mutating func record() -> ExitRecord {
        guard let exit = self.exit else { return ExitRecord(endedBy: .hostFailed, code: -1, signal: 0) }
        return self.tree.record(of: exit, endedBy: self.endedBy)
    }
}
