internal import Audit
internal import Cryptography
internal import Domain
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Jobs
internal import Worker

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
        var body = try await call.body()
        let action = try Input.action(try body.text("action"))
        let params = try body.object("params")
        let requestID = try Input.requestID(try body.text("client_request_id"))
        let properties = try JobProperties(&body, now: call.services.now())
        try body.finish()
        return try await call.submit(action, params: params, requestID: requestID, properties)
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

    /// Decides, audits and stores one request, as every other way into the queue does.
    func submit(
        _ action: ActionName, params: JSONValue, requestID: Domain.RequestID,
        _ properties: JobProperties = JobProperties()
    ) async throws -> Response {
        try await self.note(params: params)
        var request = JobRequest(
            workspace: self.workspace, action: action, requestID: requestID, params: params.bytes,
            actor: self.principal.actor, priority: properties.priority, start: properties.start,
            deadline: properties.deadline, uniqueKey: properties.uniqueKey, tags: properties.tags)
        request.origin = (self.record.id, self.record.facts.address, self.services.node)
        let answers = try await JobRequest.submit(
            [request], to: self.services.store, keys: self.services.keys,
            digester: ParamsDigester(key: try await self.services.keys.digestKey()), policy: self.services.policy)
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

    private static func problem(_ refusal: JobRequest.Refusal, _ action: ActionName) -> Problem {
        switch refusal.kind {
        case .notAllowed: Problem(.actionNotAllowed, "the action '\(action)' is not allowed in this workspace")
        case .unusable: Problem(.invalid, refusal.message, rule: "params")
        case .inUse: Problem(.invalid, refusal.message, rule: "idempotency")
        case .full: Problem(.full, refusal.message, headers: [(.retryAfter, "10")])
        case .quarantined: Problem(.forbidden, refusal.message, rule: "quarantine")
        }
    }
}

/// What a request may say of how its job is to be run.
struct JobProperties: Sendable {
    var priority = Priority.normal
    var start = JobStart.now
    var deadline: UInt64?
    var uniqueKey: String?
    var tags: [JobTag] = []

    init() {}

    /// `now` is in milliseconds since the epoch.
    init(_ body: inout BodyReader, now: UInt64) throws {
        let names: [String: Priority] = ["high": .high, "normal": .normal, "low": .low]
        guard let priority = names[try body.optionalText("priority") ?? "normal"] else {
            throw Problem(.invalid, "'priority' must be one of high, normal, low")
        }
        self.priority = priority
        let (delay, time) = (try body.optionalInteger("delay_seconds"), try body.optionalText("run_at"))
        if let delay {
            guard time == nil else { throw Problem(.invalid, "'delay_seconds' and 'run_at' exclude each other") }
            guard delay >= 0, Duration.seconds(delay) <= JobStart.longestDelay else {
                throw Problem(.invalid, "'delay_seconds' must be from 0 to a year")
            }
            self.start = .after(.seconds(delay))
        } else if let time {
            let start = try Self.time(time, "run_at")
            guard start <= now + UInt64(clamping: JobStart.longestDelay.components.seconds) * 1000 else {
                throw Problem(.invalid, "'run_at' must be within a year")
            }
            self.start = .at(start)
        }
        self.deadline = try body.optionalText("deadline").map { try Self.time($0, "deadline") }
        guard self.deadline ?? .max > now else { throw Problem(.conflict, "'deadline' has passed already") }
        self.uniqueKey = try body.optionalText("unique_key")
        guard (1...256).contains(self.uniqueKey?.unicodeScalars.count ?? 1) else {
            throw Problem(.invalid, "'unique_key' must have 1 to 256 characters")
        }
        let tags = try body.list("tags") ?? []
        guard tags.count <= JobTag.limit else { throw Problem(.invalid, "'tags' may be at most \(JobTag.limit)") }
        self.tags = try tags.map { value in
            guard let text = value.string else { throw Problem(.invalid, "'tags' must be a list of strings") }
            return try Input.tag(text)
        }
    }

    private static func time(_ text: String, _ name: String) throws -> UInt64 {
        guard let time = RFC3339.milliseconds(of: text) else {
            throw Problem(.invalid, "'\(name)' must be a time such as 2026-12-24T18:00:00Z")
        }
        return time
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
        guard milliseconds > 0 else { return .null }
        let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000)
        return .string(date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
    }
}
