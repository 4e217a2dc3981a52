internal import Audit
internal import Cryptography
internal import Domain
package import Jobs
package import Policy

/// The only way into the queue: decides on requests, audits and stores them. The API, the command line, batches and
/// schedules use it.
package struct Intake: Sendable {
    private let queue: any JobStore
    private let keys: WorkspaceKeyring
    private let digester: ParamsDigester
    private let policy: PolicyEngine

    /// Creates an intake on a store, with the keys that seal its jobs.
    package init(queue: any JobStore, keys: WorkspaceKeyring, digester: ParamsDigester, policy: PolicyEngine) {
        self.queue = queue
        self.keys = keys
        self.digester = digester
        self.policy = policy
    }

    /// Creates an intake on a process's access to the queue.
    package init(_ access: QueueAccess, policy: PolicyEngine) {
        self.init(queue: access.store, keys: access.keys, digester: access.digester, policy: policy)
    }

    /// Stores the requests that the policy allows, with their audit events. Returns one answer per request, in order.
    ///
    /// Throws `JobQueueError` when the queue cannot be reached. Denials may be in the audit trail and jobs may be stored
    /// then; the same requests may be submitted again, and return stored jobs as duplicates.
    package func submit(_ requests: [JobRequest]) async throws -> [IntakeAnswer] {
        let now = try await self.queue.time()
        var answers: [IntakeAnswer?] = []
        var submissions: [Submission] = []
        for request in requests {
            let (decision, action, _) = self.policy.decide(request.action, params: request.params)
            switch decision {
            case .allow where request.isRepeatable == true && action?.mayBeRepeatable == false:
                let reason =
                    "the effect of '\(request.action)' is external, and its file does not say that it may be repeated; leave out 'repeatable'"
                try await self.audit(request, rule: "repeatable", reason: reason, at: now)
                answers.append(.refused(IntakeRefusal(kind: .unusable, message: reason)))
            case .allow(let rule):
                submissions.append(try self.submission(of: request, rule: rule, at: now))
                answers.append(nil)
            case .deny(let denial):
                try await self.audit(request, rule: denial.rule, reason: denial.reason, at: now)
                let kind: IntakeRefusal.Kind = denial.kind == .notAllowed ? .notAllowed : .unusable
                answers.append(.refused(IntakeRefusal(kind: kind, message: denial.reason)))
            }
        }
        var results = submissions.isEmpty ? [] : try await self.queue.submit(submissions, keys: self.keys)[...]
        var all: [IntakeAnswer] = []
        for (request, answer) in zip(requests, answers) {
            if let answer {
                all.append(answer)
                continue
            }
            guard let result = results.popFirst() else {
                throw JobQueueError(code: .failed, message: "the queue did not return a result for every request")
            }
            let answer = try Self.answer(request, result)
            if case .refused(let refusal) = answer, refusal.kind == .quarantined {
                try await self.audit(request, rule: "quarantine", reason: refusal.message, at: now)
            }
            all.append(answer)
        }
        return all
    }

    private func submission(of request: JobRequest, rule: String, at now: UInt64) throws -> Submission {
        guard let bits = UUIDBytes(bytes: try Digests.randomBytes(count: 16)) else {
            throw JobQueueError(code: .failed, message: "the system returned no random bytes")
        }
        let id = JobID(milliseconds: now, randomHigh: bits.high, randomLow: bits.low)
        let terms = JobTerms(
            priority: request.priority, runAt: request.start.time(at: now), deadline: request.deadline,
            uniqueKey: request.uniqueKey)
        let job = Job(
            id: id, workspace: request.workspace, action: request.action, requestID: request.requestID,
            actor: request.actor, submittedAt: now, params: request.params, deadline: request.deadline,
            tags: request.tags, isRepeatable: request.isRepeatable, terms: terms)
        let event = try self.event(.submitted, request, id, status: "accepted", rule: rule, reason: "", at: now)
        return Submission(
            job: job, priority: request.priority, start: request.start, uniqueKey: request.uniqueKey,
            tick: request.tick, auditEvent: event)
    }

    private func audit(_ request: JobRequest, rule: String, reason: String, at now: UInt64) async throws {
        let event = try self.event(.denied, request, nil, status: "denied", rule: rule, reason: reason, at: now)
        try await self.queue.appendAudit(event, of: request.workspace)
    }

    private func event(
        _ kind: AuditEvent.Kind, _ request: JobRequest, _ job: JobID?, status: String, rule: String, reason: String,
        at now: UInt64
    ) throws -> [UInt8] {
        var event = AuditEvent(
            kind: kind, workspace: request.workspace, actor: request.actor, action: request.action.name, jobID: job,
            status: status, rule: rule, duration: .zero, errorReason: reason,
            paramsDigest: try self.digester.digest(request.params), node: request.origin.node, time: now)
        event.requestID = request.origin.requestID
        event.address = request.origin.address
        return event.encoded
    }

    private static func answer(_ request: JobRequest, _ result: SubmissionResult) throws -> IntakeAnswer {
        func refused(_ kind: IntakeRefusal.Kind, _ message: String) -> IntakeAnswer {
            .refused(IntakeRefusal(kind: kind, message: message))
        }
        switch result {
        case .accepted(let id): return .accepted(id, isDuplicate: false, state: nil)
        case .duplicate(let id, let state): return .accepted(id, isDuplicate: true, state: state)
        case .conflict(let first):
            return refused(
                .inUse,
                "the request ID \(request.requestID) was used for job \(first) with other params; use a new request ID")
        case .notUnique(let id, let state):
            let shown = state.map { " (\($0.rawValue))" } ?? ""
            return refused(
                .inUse, "job \(id) with the same unique key has not ended\(shown); submit again when it has ended")
        case .quarantined:
            return refused(
                .quarantined,
                "the workspace '\(request.workspace)' is in quarantine; an operator releases it with: orchestra workspaces release"
            )
        case .full:
            return refused(
                .full,
                "the workspace '\(request.workspace)' has reached its limit of waiting jobs; try again later")
        case .staleKey:
            throw JobQueueError(
                code: .failed, message: "the queue refused a key that was read from it during the same call")
        }
    }
}
