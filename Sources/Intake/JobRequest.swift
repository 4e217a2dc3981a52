package import Domain
package import Jobs

/// A checked request for a job; `RequestDraft` makes one of what somebody wrote.
package struct JobRequest: Sendable {
    /// What the request that brought it is called in the audit trail, and where that came from; empty where unknown.
    package struct Origin: Sendable, Hashable {
        package var requestID = ""
        package var address = ""
        package var node = ""

        package init(requestID: String = "", address: String = "", node: String = "") {
            self.requestID = requestID
            self.address = address
            self.node = node
        }
    }

    package let workspace: WorkspaceID
    package let action: ActionName
    package let requestID: RequestID
    /// The bytes of a JSON object, as they were written.
    package let params: [UInt8]
    package let actor: String
    package var priority: Priority
    package var start: JobStart
    /// Milliseconds since the epoch.
    package var deadline: UInt64?
    package var uniqueKey: String?
    package var tags: [JobTag]
    /// The submitter states that the job's effect may be repeated; nil leaves that to the action.
    package var isRepeatable: Bool?
    /// The tick of a schedule that it is for.
    package var tick: ScheduleTick?
    package var origin = Origin()

    package init(
        workspace: WorkspaceID, action: ActionName, requestID: RequestID, params: [UInt8], actor: String,
        priority: Priority = .normal, start: JobStart = .now, deadline: UInt64? = nil, uniqueKey: String? = nil,
        tags: [JobTag] = [], isRepeatable: Bool? = nil, tick: ScheduleTick? = nil
    ) {
        self.workspace = workspace
        self.action = action
        self.requestID = requestID
        self.params = params
        self.actor = actor
        self.priority = priority
        self.start = start
        self.deadline = deadline
        self.uniqueKey = uniqueKey
        self.tags = tags
        self.isRepeatable = isRepeatable
        self.tick = tick
    }
}
