internal import CLinux
internal import ShimProtocol

/// The processes of one sandboxed program, as a session sees them.
protocol ProcessTree {
    /// The launcher's process.
    var pid: Int32 { get }
    /// What to poll for the launcher's reports; -1 when there are none any more.
    var pollDescriptor: Int32 { get }
    /// Reads the launcher's reports without waiting.
    mutating func readReports()
    /// What to poll for reports of the guard.
    var guardDescriptor: Int32 { get }
    /// Reads the guard's reports without waiting; the listening sockets that have come since the last call, which the caller
    /// owns.
    mutating func takeListeners() -> [Int32]
    /// Reaps the launcher; nil while it runs.
    func reap() -> orc_exit?
    /// Kills every process of the tree.
    mutating func killTree()
    /// Sends the program's processes a signal to end; false when there is none.
    func askToEnd(isTerminal: Bool) -> Bool
    /// True once nothing of the tree is left. Only after the launcher's own end.
    mutating func isTreeGone() -> Bool
    /// The record of an end whose tree is gone; `endedBy` is what the shim itself did.
    mutating func record(of exit: orc_exit, endedBy: ExitRecord.EndedBy) -> ExitRecord
    /// Stops every process; how many, nil when some do not stop.
    func freeze() -> Int?
    /// Lets every process continue; how many.
    func thaw() -> Int
}
