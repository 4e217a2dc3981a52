/// The terms under which a job was submitted, so that they can be read back.
package struct JobTerms: Hashable, Sendable {
    package var priority: Priority
    /// The time before which the job does not run, in milliseconds since the epoch; nil when it may run at once.
    package var runAt: UInt64?
    /// The time after which the job does not run, in milliseconds since the epoch.
    package var deadline: UInt64?
    package var uniqueKey: String?

    /// Takes the parts as given; by default those of a job without terms of its own.
    package init(
        priority: Priority = .normal, runAt: UInt64? = nil, deadline: UInt64? = nil, uniqueKey: String? = nil
    ) {
        self.priority = priority
        self.runAt = runAt
        self.deadline = deadline
        self.uniqueKey = uniqueKey
    }

    /// The stored form, JSON; empty when there are no terms.
    package var bytes: [UInt8] {
        guard self != JobTerms() else { return [] }
        var members: [JSONMember] = []
        if self.priority != .normal { members.append(JSONMember("priority", .integer(Int64(self.priority.rawValue)))) }
        if let runAt { members.append(JSONMember("run_at", .integer(Int64(clamping: runAt)))) }
        if let deadline { members.append(JSONMember("deadline", .integer(Int64(clamping: deadline)))) }
        if let uniqueKey { members.append(JSONMember("unique_key", .string(uniqueKey))) }
        return JSONValue.object(members).bytes
    }

    /// Reads the stored form; a member that is missing or malformed is left out, because the terms are only shown.
    package init(bytes: [UInt8]) {
        let value = JSONValue(ifValid: bytes)
        func time(_ name: String) -> UInt64? { value?[name]?.integer.map { UInt64(clamping: $0) } }
        self.init(
            priority: value?["priority"]?.integer.flatMap { Priority(rawValue: Int($0)) } ?? .normal,
            runAt: time("run_at"), deadline: time("deadline"), uniqueKey: value?["unique_key"]?.string)
    }
}
