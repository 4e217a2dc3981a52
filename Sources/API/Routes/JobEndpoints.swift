internal import Audit
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import Intake
internal import Jobs

extension Endpoint {
    static let jobs = [
        Endpoint(
            method: .get, path: "/ai/jobs", summary: "The workspace's jobs, the newest first, by pages.",
            parameters: [
                Parameter(name: "limit", text: "Jobs of a page.", schema: Schema.integer(1...200)),
                Parameter(name: "cursor", text: "`next` of the page before.", schema: Schema.jobID),
                Parameter(name: "state", text: "Only those in this state.", schema: Schema.states),
                Parameter(name: "action", text: "Only those of this action.", schema: Schema.name(64, extra: "_.")),
                Parameter(name: "tag", text: "Only those with this tag.", schema: Schema.name(63)),
            ],
            answers: [Answer(status: 200, text: "A page.", schema: Schema.reference("JobPage"))],
            handler: .guarded(.listJobs, Self.listJobs)),
        Endpoint(
            method: .get, path: "/ai/jobs/{id}", summary: "A job, with its result once it has one.",
            answers: [Answer(status: 200, text: "The job.", schema: Schema.reference("Job"))], problems: [404],
            handler: .guarded(.readJob, Self.readJob)),
        Endpoint(
            method: .post, path: "/ai/execute",
            summary: "Asks for an action to be run. The same request id again answers the first job.",
            body: Schema.reference("ExecuteRequest"),
            answers: [
                Answer(status: 202, text: "Stored; it will be run.", schema: Schema.reference("Accepted")),
                Answer(
                    status: 200, text: "This request id came before: the first job.",
                    schema: Schema.reference("Accepted")),
            ], problems: [408, 409, 413, 415], handler: .guarded(.execute, Self.execute)),
        Endpoint(
            method: .post, path: "/ai/jobs/{id}/cancel",
            summary: "Cancels a job, queued or running, on whatever node.",
            answers: [
                Answer(status: 202, text: "Asked, or done at once.", schema: Schema.reference("Cancelled")),
                Answer(status: 200, text: "It had ended before.", schema: Schema.reference("Cancelled")),
            ], problems: [404], handler: .guarded(.cancelJob, Self.cancel)),
        Endpoint(
            method: .post, path: "/ai/jobs/{id}/retry", summary: "Puts a job that was given up on back in line.",
            answers: [Answer(status: 202, text: "In line again.", schema: Schema.reference("Retried"))],
            problems: [404, 409], handler: .guarded(.retryJob, Self.retry)),
    ]

    private static func listJobs(_ call: Call) async throws -> Response {
        let query = try call.query(["limit", "cursor", "state", "action", "tag"])
        let limit = try call.limit(query)
        let state = try query["state"].map { text in
            guard let state = JobState(rawValue: text) else {
                throw Problem(
                    .invalid, "'state' must be one of \(JobState.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return state
        }
        let tag = try query["tag"].map { try Input.tag($0) }
        let action = try query["action"].map { try Input.action($0) }
        var cursor = try query["cursor"].map { try Input.job($0) }
        var found: [JobRecord] = []
        var isComplete = false
        // A filter may pass over many; a page then ends early, and says where the next begins.
        for _ in 0..<10 where found.count < limit && !isComplete {
            let wanted = state == nil && action == nil ? limit - found.count : 200
            let page = try await call.services.store.jobs(in: call.workspace, limit: wanted, tag: tag, after: cursor)
            isComplete = page.count < wanted
            for job in page {
                if found.count == limit {
                    isComplete = false
                    break
                }
                cursor = job.id
                if state ?? job.state == job.state, action.map({ $0.name == job.action }) ?? true { found.append(job) }
            }
        }
        return .json([
            "jobs": .array(found.map { JobView.json($0) }),
            "next": isComplete ? .null : cursor.map { .string($0.description) } ?? .null,
        ])
    }

    private static func readJob(_ call: Call) async throws -> Response {
        let job = try await call.job()
        var result: JSONValue?
        if !job.sealedResult.isEmpty {
            let plain = try await JobEnvelope.open(
                result: job.sealedResult, workspace: call.workspace, job: job.id, keys: call.services.keys)
            result = try? JSONParser.parse(plain)
        }
        return .json(JobView.json(job, result: result))
    }

    private static func execute(_ call: Call) async throws -> Response {
        let draft: RequestDraft
        do {
            draft = try RequestDraft(reading: try await call.document(), members: .api)
        } catch let error as RequestDraft.UnknownMember {
            throw Problem(.invalid, error.description)
        } catch let error as DraftError {
            throw Call.problem(error)
        }
        return try await call.submit(draft)
    }

    private static func cancel(_ call: Call) async throws -> Response { try await call.cancel(try call.jobID()) }

    private static func retry(_ call: Call) async throws -> Response {
        let job = try await call.job()
        let answer = try await call.services.store.requeue(
            job.id, in: call.workspace, auditEvent: call.event(.requeued, job.id, status: "requeued"))
        switch answer {
        case .done: return .json(["job_id": .string(job.id.description), "state": "available"], status: .accepted)
        case .absent:
            throw Problem(
                .conflict, "the job is \(job.state.rawValue): only one that was given up on can be tried again")
        case .isTaken:
            throw Problem(.conflict, "another job with the same unique key has not ended; expected one at a time")
        case .isUnresolved:
            throw Problem(
                .conflict,
                "it is not known whether the job took effect; an operator says so first (orchestra jobs resolve)")
        }
    }
}

extension Call {
    static let noSuchJob = Problem(.notFound, "there is no such job in this workspace, or its record is gone")

    /// The job that the path names.
    func job() async throws -> JobRecord {
        guard let job = try await self.services.store.job(try self.jobID(), in: self.workspace) else {
            throw Self.noSuchJob
        }
        return job
    }

    /// Asks for a job's end, wherever it is.
    func cancel(_ id: JobID) async throws -> Response {
        let before = try await self.services.store.cancel(
            id, in: self.workspace, request: self.event(.cancelRequested, id, status: "requested"),
            outcome: self.event(.outcome, id, status: "cancelled"))
        guard let before else { throw Self.noSuchJob }
        let answer: JSONValue = ["job_id": .string(id.description), "state_before": .string(before.rawValue)]
        return .json(answer, status: before.isFinal ? .ok : .accepted)
    }

    /// Checks, decides, audits and stores one request, as every other way into the queue does.
    func submit(_ draft: RequestDraft) async throws -> Response {
        try self.note(params: draft.params)
        var request: JobRequest
        do throws(DraftError) {
            request = try draft.request(
                in: self.workspace, actor: self.principal.actor, now: self.services.now())
        } catch {
            throw Self.problem(error)
        }
        request.origin = JobRequest.Origin(
            requestID: self.record.id, address: self.record.facts.address, node: self.services.node)
        let (action, requestID) = (request.action, request.requestID)
        let answers = try await self.services.intake.submit([request])
        switch answers.first {
        case .accepted(let id, let isDuplicate, let state)?:
            self.record.note { $0.jobID = id }
            var answer = [
                JSONMember("job_id", .string(id.description)),
                JSONMember("client_request_id", .string(requestID.description)),
                JSONMember("duplicate", .bool(isDuplicate)),
            ]
            if let state { answer.append(JSONMember("state", .string(state.rawValue))) }
            return .json(
                .object(answer), status: isDuplicate ? .ok : .accepted, headers: [(.location, "/ai/jobs/\(id)")])
        case .refused(let refusal)?: throw Self.problem(refusal, action)
        case nil: throw JobQueueError(code: .failed, message: "the queue did not answer")
        }
    }

    /// The problem that a draft's error is for a client of the API.
    static func problem(_ error: DraftError) -> Problem {
        Problem(error.isConflict ? .conflict : .invalid, error.message(naming: RequestDraft.Members.api.quoted))
    }

    private static func problem(_ refusal: IntakeRefusal, _ action: ActionName) -> Problem {
        switch refusal.kind {
        case .notAllowed: Problem(.actionNotAllowed, "the action '\(action)' is not allowed in this workspace")
        case .unusable: Problem(.invalid, refusal.message, rule: "params")
        case .inUse: Problem(.invalid, refusal.message, rule: "idempotency")
        case .full: Problem(.full, refusal.message, headers: [(.retryAfter, "10")])
        case .quarantined: Problem(.forbidden, refusal.message, rule: "quarantine")
        }
    }
}

/// A job as the API shows it.
enum JobView {
    static func json(_ job: JobRecord, result: JSONValue? = nil) -> JSONValue {
        var members: [JSONMember] = [
            JSONMember("job_id", .string(job.id.description)), JSONMember("action", .string(job.action)),
            JSONMember("state", .string(job.state.rawValue)),
            JSONMember("submitted_at", self.time(job.submittedAt)), JSONMember("started_at", self.time(job.startedAt)),
            JSONMember("finished_at", self.time(job.finishedAt)),
            JSONMember("failures", .integer(Int64(job.failures))), JSONMember("crashes", .integer(Int64(job.crashes))),
            JSONMember("node", .string(job.node)), JSONMember("reason", .string(job.reason)),
            JSONMember("tags", .array(job.tags.map { .string($0) })),
        ]
        if let progress = job.progress {
            let value: JSONValue = [
                "percent": .integer(Int64(progress.percent)), "text": .string(progress.text),
                "time": self.time(progress.time),
            ]
            members.append(JSONMember("progress", value))
        }
        if let result { members.append(JSONMember("result", result)) }
        return .object(members)
    }

    /// RFC 3339 with milliseconds; null for a time that has not come.
    static func time(_ milliseconds: UInt64) -> JSONValue {
        milliseconds > 0 ? .string(RFC3339.text(of: milliseconds)) : .null
    }
}
