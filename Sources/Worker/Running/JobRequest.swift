package import Audit
internal import Cryptography
package import Domain
package import Jobs
package import Policy

/// A request on its way into the queue: decided, audited, stored.
package struct JobRequest: Sendable {
    package let workspace: WorkspaceID
    package let action: ActionName
    package let requestID: RequestID
    package let params: [UInt8]
    package let actor: String
    package var priority: Priority
    package var start: JobStart
    /// Milliseconds since the epoch.
    package var deadline: UInt64?
    package var uniqueKey: String?
    package var tags: [JobTag]
    /// The tick of a schedule that it is for.
    package var tick: ScheduleTick?
    /// What the request that brought it is called in the audit trail, and where that came from.
    package var origin: (requestID: String, address: String, node: String) = ("", "", "")

    package init(
        workspace: WorkspaceID, action: ActionName, requestID: RequestID, params: [UInt8], actor: String,
        priority: Priority = .normal, start: JobStart = .now, deadline: UInt64? = nil, uniqueKey: String? = nil,
        tags: [JobTag] = [], tick: ScheduleTick? = nil
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
        self.tick = tick
    }

    /// What became of a request.
    package enum Answer: Sendable, Hashable {
        /// Of a duplicate the first job's id and state; nil when its record is gone.
        case accepted(JobID, isDuplicate: Bool, state: JobState?)
        case refused(Refusal)

        package var isAccepted: Bool { if case .accepted = self { true } else { false } }
    }

    package struct Refusal: Sendable, Hashable {
        package enum Kind: Hashable, Sendable {
            /// The policy does not allow the action; the denial is in the audit trail.
            case notAllowed
            /// The action or its params cannot be used; the denial is in the audit trail.
            case unusable
            /// The request id was used for other params, or a job with the unique key has not ended.
            case inUse
            /// The workspace has as many waiting jobs as it may.
            case full
            /// The workspace is in quarantine; the denial is in the audit trail.
            case quarantined
        }

        package let kind: Kind
        package let message: String
    }

    /// Stores those that the policy allows in one step, with their audit events; an answer for each. Throws
    /// `JobQueueError` when the queue cannot be asked: the same requests may be sent again then.
    package static func submit(
        _ requests: [JobRequest], to queue: any JobStore, keys: WorkspaceKeyring, digester: ParamsDigester,
        policy: PolicyEngine
    ) async throws -> [Answer] {
        let now = try await queue.time()
        var answers: [Answer?] = []
        var submissions: [Submission] = []
        for request in requests {
            switch policy.decide(request.action, params: request.params).decision {
            case .allow(let rule):
                submissions.append(try request.submission(rule: rule, at: now, digester))
                answers.append(nil)
            case .deny(let denial):
                let event = try request.event(
                    .denied, nil, status: "denied", rule: denial.rule, reason: denial.reason, at: now, digester)
                try await queue.appendAudit(event, of: request.workspace)
                answers.append(
                    .refused(
                        Refusal(
                            kind: denial.kind == .notAllowed ? .notAllowed : .unusable, message: denial.reason)))
            }
        }
        var results = submissions.isEmpty ? [] : try await queue.submit(submissions, keys: keys)[...]
        for (submission, result) in zip(submissions, results) where result == .quarantined {
            guard let request = requests.first(where: { $0.requestID == submission.job.requestID }) else { continue }
            let event = try request.event(
                .denied, nil, status: "denied", rule: "quarantine", reason: request.quarantineText, at: now, digester)
            try await queue.appendAudit(event, of: request.workspace)
        }
        return try zip(requests, answers).map { request, answer in
            try answer ?? request.answer(to: results.popFirst())
        }
    }

    private func submission(rule: String, at now: UInt64, _ digester: ParamsDigester) throws -> Submission {
        guard let bits = UUIDBytes(bytes: try Digests.randomBytes(count: 16)) else {
            throw JobQueueError(code: .failed, message: "no random bytes can be had")
        }
        let id = JobID(milliseconds: now, randomHigh: bits.high, randomLow: bits.low)
        let job = Job(
            id: id, workspace: self.workspace, action: self.action, requestID: self.requestID, actor: self.actor,
            submittedAt: now, params: self.params, deadline: self.deadline, tags: self.tags)
        return Submission(
            job: job, priority: self.priority, start: self.start, uniqueKey: self.uniqueKey, tick: self.tick,
            auditEvent: try self.event(.submitted, id, status: "accepted", rule: rule, reason: "", at: now, digester))
    }

    private func event(
        _ kind: AuditEvent.Kind, _ job: JobID?, status: String, rule: String, reason: String, at now: UInt64,
        _ digester: ParamsDigester
    ) throws -> [UInt8] {
        var event = AuditEvent(
            kind: kind, workspace: self.workspace, actor: self.actor, action: self.action.name, jobID: job,
            status: status, rule: rule, duration: .zero, errorReason: reason,
            paramsDigest: try digester.digest(self.params), node: self.origin.node, time: now)
        event.requestID = self.origin.requestID
        event.address = self.origin.address
        return event.encoded
    }

    private var quarantineText: String {
        "the workspace '\(self.workspace)' is in quarantine; an operator lets it go on (orchestra workspaces release)"
    }

    private func answer(to result: SubmissionResult?) throws -> Answer {
        switch result {
        case .accepted(let id): return .accepted(id, isDuplicate: false, state: nil)
        case .duplicate(let id, let state): return .accepted(id, isDuplicate: true, state: state)
        case .conflict(let first):
            return .refused(
                Refusal(
                    kind: .inUse,
                    message:
                        "the request id \(self.requestID) was used for job \(first) with other params; expected a new one"
                ))
        case .notUnique(let id, let state):
            let shown = state.map { " (\($0.rawValue))" } ?? ""
            return .refused(
                Refusal(
                    kind: .inUse,
                    message: "job \(id) with the same unique key has not ended\(shown); expected one at a time"))
        case .quarantined:
            return .refused(Refusal(kind: .quarantined, message: self.quarantineText))
        case .full:
            return .refused(
                Refusal(
                    kind: .full,
                    message: "the workspace '\(self.workspace)' has as many waiting jobs as it may; try again later"))
        case nil: throw JobQueueError(code: .failed, message: "the queue did not answer for every request")
        }
    }
}
