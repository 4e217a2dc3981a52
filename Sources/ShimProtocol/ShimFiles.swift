/// The names of the files in the directory of one launch of an agent; shared by node and shim.
package enum ShimFiles {
    package static let launch = "launch"
    package static let socket = "s"
    package static let log = "output.log"
    /// The pipe through which the node passes secrets; it exists only during the launch.
    package static let secrets = "secrets"
    /// When each part of the log was written: see `LogTiming`.
    package static let timing = "output.timing"
    /// The sizes that the terminal was given after its launch: see `TerminalSizes`.
    package static let sizes = "sizes"
    /// The agent's events: one object a line, `{"n":…,"ms":…,"event":{…}}`.
    package static let events = "events.jsonl"
    /// The agent's last known state, as its node saw it.
    package static let state = "state"
    package static let exit = "exit"

    /// The file of the log's part that begins at `offset`, and of its times. A log that keeps only its newest output has
    /// several parts.
    package static func log(from offset: UInt64) -> String { self.part(self.log, offset) }
    /// The file with the times of the log's part that begins at `offset`.
    package static func timing(from offset: UInt64) -> String { self.part(self.timing, offset) }

    private static func part(_ name: String, _ offset: UInt64) -> String { offset == 0 ? name : "\(name).\(offset)" }

    /// The offset at which the part of the log in this file begins; nil for any other file.
    package static func offset(ofLog name: String) -> UInt64? {
        if name == self.log { return 0 }
        guard name.hasPrefix(self.log + ".") else { return nil }
        return UInt64(name.dropFirst(self.log.count + 1))
    }
}
