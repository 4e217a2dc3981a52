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
                Parameter(name: "cursor", text: "`next` of the previous page.", schema: Schema.jobID),
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
            summary: "Submits a job that runs an action. The same request id again answers the first job.",
            body: Schema.reference("ExecuteRequest"),
            answers: [
                Answer(status: 202, text: "Stored; the job will be run.", schema: Schema.reference("Accepted")),
                Answer(
                    status: 200, text: "This request id was used before: the first job.",
                    schema: Schema.reference("Accepted")),
            ], problems: [408, 409, 413, 415], handler: .guarded(.execute, Self.execute)),
        Endpoint(
            method: .post, path: "/ai/jobs/{id}/cancel",
            summary: "Cancels a job, queued or running, on any node.",
            answers: [
                Answer(status: 202, text: "Requested, or done at once.", schema: Schema.reference("Cancelled")),
                Answer(status: 200, text: "It had ended already.", schema: Schema.reference("Cancelled")),
            ], problems: [404], handler: .guarded(.cancelJob, Self.cancel)),
        Endpoint(
            method: .post, path: "/ai/jobs/{id}/retry", summary: "Requeues a dead letter.",
            answers: [Answer(status: 202, text: "Requeued.", schema: Schema.reference("Retried"))],
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
        let cursor = try query["cursor"].map { try Input.job($0) }
        let (store, workspace) = (call.services.store, call.workspace)
        let isFiltered = state != nil || action != nil
        let pages = JobPages(readSize: isFiltered ? JobPages.filteredReadSize : limit) {
            try await store.jobs(in: workspace, limit: $0, tag: tag, after: $1)
        }
        let page = try await pages.page(limit: limit, after: cursor) { job in
            state ?? job.state == job.state && action?.name ?? job.action == job.action
        }
        var views: [JSONValue] = []
        for job in page.jobs { views.append(JobView.json(job, progress: try await call.progress(of: job))) }
        return .json([
            "jobs": .array(views),
            "next": page.next.map { .string($0.description) } ?? .null,
        ])
    }

    private static func readJob(_ call: Call) async throws -> Response {
        let job = try await call.job()
        var result: JSONValue?
        if !job.sealedResult.isEmpty {
            let plain = try await JobEnvelope.open(
                result: job.sealedResult, workspace: call.workspace, job: job.id, keys: call.services.keys)
            result = try JSONParser.parse(plain)
        }
        let terms = try await JobEnvelope.terms(of: job, in: call.workspace, keys: call.services.keys)
        return .json(JobView.json(job, progress: try await call.progress(of: job), terms: terms, result: result))
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
                .conflict, "the job is \(job.state.rawValue): only a dead letter can be requeued")
        case .isTaken:
            throw Problem(.conflict, "another job with the same unique key has not ended; expected one at a time")
        case .isUnresolved:
            throw Problem(
                .conflict,
                "it is unknown whether the job took effect; an operator must decide first: orchestra jobs resolve")
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

    /// The progress of a job of this workspace, nil when there is none.
    func progress(of job: JobRecord) async throws -> JobProgress? {
        try await JobEnvelope.progress(of: job, in: self.workspace, keys: self.services.keys)
    }

    /// Cancels a job, queued or running on any node.
    func cancel(_ id: JobID) async throws -> Response {
        let before = try await self.services.store.cancel(
            id, in: self.workspace, request: self.event(.cancelRequested, id, status: "requested"),
            outcome: self.event(.outcome, id, status: "cancelled"))
        guard let before else { throw Self.noSuchJob }
        let answer: JSONValue = ["job_id": .string(id.description), "state_before": .string(before.rawValue)]
        return .json(answer, status: before.isFinal ? .ok : .accepted)
    }

    /// Checks, decides, audits and stores one request, as every other submitter does.
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
