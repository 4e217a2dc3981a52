package import Domain
package import Jobs

/// A validated request for a job. `RequestDraft.request` creates one.
package struct JobRequest: Sendable {
    /// Where the request came from, for the audit trail; empty when unknown.
    package struct Origin: Sendable, Hashable {
        /// The ID of the API request in logs and responses; not the idempotency key.
        package var requestID = ""
        /// The address of the client.
        package var address = ""
        /// The node that received it.
        package var node = ""

        /// Takes the parts as given; a part is empty when it is unknown.
        package init(requestID: String = "", address: String = "", node: String = "") {
            self.requestID = requestID
            self.address = address
            self.node = node
        }
    }

    package let workspace: WorkspaceID
    package let action: ActionName
    package let requestID: RequestID
    /// The bytes of a JSON object, as the submitter sent them.
    package let params: [UInt8]
    package let actor: String
    package var priority: Priority
    package var start: JobStart
    /// Milliseconds since the epoch.
    package var deadline: UInt64?
    /// While a job with this key has not ended, no other job with it is accepted.
    package var uniqueKey: String?
    package var tags: [JobTag]
    /// Whether the submitter allows the effect to be repeated; nil leaves that to the action's definition.
    package var isRepeatable: Bool?
    /// The tick of a schedule that this request is for.
    package var tick: ScheduleTick?
    package var origin = Origin()

    /// Takes the parts as given, without a check; leaves `origin` empty.
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
