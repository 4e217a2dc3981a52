/// A job as the submitter asked for it: what the sealed entry holds once it is open.
package struct Job: Hashable, Sendable {
    package let id: JobID
    package let workspace: WorkspaceID
    package let action: ActionName
    package let requestID: RequestID
    /// Who asked, as the credential named them.
    package let actor: String
    /// Milliseconds since the epoch, by Redis' clock.
    package let submittedAt: UInt64
    /// The params as they were received, a JSON object in UTF-8; hashed and handed on unchanged.
    package let params: [UInt8]
    /// Milliseconds since the epoch from which on it is not worth running; nil when it always is.
    package let deadline: UInt64?
    /// Names that its submitter gave it, to find it by.
    package let tags: [JobTag]
    /// What its submitter said of repeating its effect; nil when nothing.
    package let isRepeatable: Bool?

    package init(
        id: JobID, workspace: WorkspaceID, action: ActionName, requestID: RequestID, actor: String, submittedAt: UInt64,
        params: [UInt8], deadline: UInt64? = nil, tags: [JobTag] = [], isRepeatable: Bool? = nil
    ) {
        self.isRepeatable = isRepeatable
        self.deadline = deadline
        self.tags = tags
        self.id = id
        self.workspace = workspace
        self.action = action
        self.requestID = requestID
        self.actor = actor
        self.submittedAt = submittedAt
        self.params = params
    }

    /// The largest params accepted, in bytes; larger bodies cost Redis dearly (measured at 4 KiB and up).
    package static let paramsLimit = 64 * 1024
}

/// An entry delivered to this node, still sealed, with the lease that lets it be completed.
package struct Delivery: Hashable, Sendable {
    package let workspace: WorkspaceID
    /// The id beside the sealed envelope, nil when the entry has none that can be read.
    package let jobID: JobID?
    package let entry: EntryReference
    package let envelope: [UInt8]
    /// Runs that ended because their node died, this delivery not counted.
    package let crashes: Int
    /// Runs that failed, this delivery not counted.
    package let failures: Int
    /// This node held the job in an earlier life; what it had started may still be running.
    package let isRecovered: Bool

    package init(
        workspace: WorkspaceID, jobID: JobID?, entry: EntryReference, envelope: [UInt8], crashes: Int, failures: Int,
        isRecovered: Bool
    ) {
        self.workspace = workspace
        self.jobID = jobID
        self.entry = entry
        self.envelope = envelope
        self.crashes = crashes
        self.failures = failures
        self.isRecovered = isRecovered
    }
}

/// Where an entry lies and under which lease: what a completion must name to be accepted.
package struct EntryReference: Hashable, Sendable {
    package let workspace: WorkspaceID
    package let priority: Priority
    package let id: EntryID
    /// Another entry of the same job was held when this one was delivered; its lease has a key of its own.
    package let isRepeated: Bool

    package init(workspace: WorkspaceID, priority: Priority, id: EntryID, isRepeated: Bool = false) {
        self.workspace = workspace
        self.priority = priority
        self.id = id
        self.isRepeated = isRepeated
    }
}

/// An entry's place in its stream: when Redis took it, and which one of that millisecond it is.
package struct EntryID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let milliseconds: UInt64
    package let sequence: UInt64

    package init(milliseconds: UInt64, sequence: UInt64) {
        self.milliseconds = milliseconds
        self.sequence = sequence
    }

    /// Reads `1700000000000-0`; nil when it is something else. By hand, since it is done for every job that arrives.
    package init?(text: ArraySlice<UInt8>) {
        var numbers: (UInt64, UInt64) = (0, 0)
        var hasBar = false
        var digits = 0
        for byte in text {
            if byte == UInt8(ascii: "-"), !hasBar, digits > 0 {
                (hasBar, digits) = (true, 0)
                (numbers.1, numbers.0) = (numbers.0, 0)
                continue
            }
            // Nineteen digits always fit.
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), digits < 19 else { return nil }
            numbers.0 = numbers.0 * 10 + UInt64(byte - UInt8(ascii: "0"))
            digits += 1
        }
        guard hasBar, digits > 0 else { return nil }
        self.init(milliseconds: numbers.1, sequence: numbers.0)
    }

    package var description: String { "\(self.milliseconds)-\(self.sequence)" }

    package static func < (left: EntryID, right: EntryID) -> Bool {
        (left.milliseconds, left.sequence) < (right.milliseconds, right.sequence)
    }
}
