/// A job as it was submitted: the content of the sealed entry.
package struct Job: Hashable, Sendable {
    package let id: JobID
    package let workspace: WorkspaceID
    package let action: ActionName
    package let requestID: RequestID
    /// The submitter's name in the audit trail, from its credential.
    package let actor: String
    /// Milliseconds since the epoch by the clock of Redis.
    package let submittedAt: UInt64
    /// The params as they were received: a JSON object in UTF-8. They are hashed and passed on unchanged.
    package let params: [UInt8]
    /// The time, in milliseconds since the epoch, after which the job does not run; nil if there is no deadline.
    package let deadline: UInt64?
    /// The names that the submitter gave the job, for listing jobs.
    package let tags: [JobTag]
    /// Whether the submitter permits the effect to be repeated; nil if the request did not say.
    package let isRepeatable: Bool?
    package let terms: JobTerms

    /// Takes the parts as given; checks neither the params nor their size.
    package init(
        id: JobID, workspace: WorkspaceID, action: ActionName, requestID: RequestID, actor: String, submittedAt: UInt64,
        params: [UInt8], deadline: UInt64? = nil, tags: [JobTag] = [], isRepeatable: Bool? = nil,
        terms: JobTerms = JobTerms()
    ) {
        self.terms = terms
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

    /// The maximum size of the params in bytes. Large entries slow Redis down (measured from 4 KiB on).
    package static let paramsLimit = 64 * 1024
}
