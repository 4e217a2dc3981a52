/// The names of the files in an agent's directory; shared by node and shim.
package enum ShimFiles {
    package static let launch = "launch"
    package static let socket = "s"
    package static let log = "output.log"
    /// A pipe by which the node hands over secrets; it exists only during the launch.
    package static let secrets = "secrets"
    /// When each part of the log came.
    package static let timing = "output.timing"
    /// What the agent said beside its terminal: an object a line, `{"n":…,"ms":…,"event":{…}}`.
    package static let events = "events.jsonl"
    /// What the agent does, as its node saw it last.
    package static let state = "state"
    package static let exit = "exit"

    /// The file of a log's part that begins at `offset`, and of when that came. A log that keeps only its newest output
    /// has several parts.
    package static func log(from offset: UInt64) -> String { self.part(self.log, offset) }
    package static func timing(from offset: UInt64) -> String { self.part(self.timing, offset) }

    private static func part(_ name: String, _ offset: UInt64) -> String { offset == 0 ? name : "\(name).\(offset)" }

    /// Where the part of a log begins that this file is; nil for any other file.
    package static func offset(ofLog name: String) -> UInt64? {
        if name == self.log { return 0 }
        guard name.hasPrefix(self.log + ".") else { return nil }
        return UInt64(name.dropFirst(self.log.count + 1))
    }
}
