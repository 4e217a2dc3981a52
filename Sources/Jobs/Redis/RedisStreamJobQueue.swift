package import Domain
package import Redis

/// The job queue on Redis Streams: every step that must not be torn is one call of a server-side function.
///
/// All of its keys lie in one lane. `blocking` carries the calls that wait; it must not be the client of the others,
/// which would wait behind them.
package struct RedisStreamJobQueue: JobQueue {
    package let limits: QueueLimits
    let client: RedisClient
    private let blocking: RedisClient?
    let lane: Lane
    private let functions: QueueFunctions

    package init(
        client: RedisClient, blocking: RedisClient? = nil, limits: QueueLimits, lane: Lane = .single,
        functions: QueueFunctions = .standard
    ) {
        self.client = client
        self.blocking = blocking
        self.limits = limits
        self.lane = lane
        self.functions = functions
    }

    // MARK: - Submitting

    package func submit(_ submissions: [SealedSubmission]) async throws -> [SubmissionResult] {
        var call = self.call("submit", capacity: submissions.count * 1024)
        call.append(self.limits.retention.milliseconds)
        call.append(self.limits.idempotency.milliseconds)
        call.append(self.limits.streamLength)
        for submission in submissions {
            call.append(submission.workspace.name)
            call.append(submission.id.uuid.bytes)
            call.append(submission.requestDigest)
            call.append(submission.paramsDigest)
            call.append(submission.priority.rawValue)
            call.append(StoredRecord(submission, state: .available).bytes)
            call.append(submission.envelope)
            call.append(submission.auditEvent)
            call.append(submission.start.argument)
            call.append(submission.extras)
        }
        return try await self.send(call).elements.map { element in
            let parts = element.elements
            guard parts.count == 3, let code = parts[0].integer, let uuid = UUIDBytes(bytes: parts[1].bytes) else {
                throw Self.unexpected("submit")
            }
            let id = JobID(uuid: uuid)
            let state = parts[2].bytes.first.flatMap { JobState(letter: $0) }
            switch code {
            case 0: return .accepted(id)
            case 1: return .duplicate(id, state: state)
            case 2: return .conflict(first: id)
            case 3: return .full
            case 5: return .quarantined
            case 6: return .staleKey
            case 4: return .notUnique(id, state: state)
            default: throw Self.unexpected("submit")
            }
        }
    }

    package func appendAudit(_ event: [UInt8], of workspace: WorkspaceID?) async throws {
        _ = try await self.direct(.streamAdd(self.lane.key("audit"), field: "e", value: event))
    }

    package func time() async throws -> UInt64 {
        let parts = try await self.direct(.time).elements
        guard parts.count == 2, let seconds = parts[0].integer, let microseconds = parts[1].integer else {
            throw Self.unexpected("TIME")
        }
        return UInt64(clamping: seconds) * 1000 + UInt64(clamping: microseconds / 1000)
    }

    package func lastTick(of schedule: ScheduleTick) async throws -> UInt64 {
        var call = self.call("tick")
        call.append(schedule.name)
        guard let time = try await self.send(call).integer else { throw Self.unexpected("tick") }
        return UInt64(clamping: time)
    }

    // MARK: - Keys

    package func wrappedKey(_ id: UInt32, of workspace: WorkspaceID) async throws -> [UInt8]? {
        let stored = try await self.direct(.hashGet(self.keyring(of: workspace), field: String(id)))
        return stored.isNull ? nil : Array(stored.bytes)
    }

    package func storeKey(_ wrapped: [UInt8], id: UInt32, of workspace: WorkspaceID) async throws {
        _ = try await self.direct(.hashSetIfAbsent(self.keyring(of: workspace), field: String(id), value: wrapped))
    }

    private func keyring(of workspace: WorkspaceID) -> String { self.lane.key("w:\(workspace.name):k") }

    package func masterFingerprint(own: [UInt8]) async throws -> [UInt8] { try await self.agreed("master", own: own) }

    /// Into how many lanes the queue is divided: `own` when nobody said so before.
    func laneCount(own: Int) async throws -> Int {
        let stored = try await self.agreed("lanes", own: Array(String(own).utf8))
        return Int(String(decoding: stored, as: UTF8.self)) ?? 0
    }

    /// What the first to come stored under the name.
    private func agreed(_ name: String, own: [UInt8]) async throws -> [UInt8] {
        let key = self.lane.key(name)
        do {
            let replies = try await self.client.pipeline([.setIfAbsent(key, value: own), .get(key)])
            _ = try replies.first?.checked()
            guard let stored = try replies.last?.checked() else { throw Self.unexpected("GET") }
            return Array(stored.bytes)
        } catch {
            throw JobQueueError.from(error)
        }
    }

    // MARK: - Reading

    package func job(_ id: JobID, in workspace: WorkspaceID) async throws -> JobRecord? {
        let reply = try await self.send(self.call("job", workspace, id))
        return reply.isNull ? nil : try Self.record(reply)
    }

    package func auditTrail(
        of workspace: WorkspaceID, before cursor: String?, limit: Int
    ) async throws -> AuditPage {
        var events: [[UInt8]] = []
        // An entry holds the events of one step, oldest first: a page may end within it, at `ENTRY/EVENTS LEFT`.
        let place = cursor?.split(separator: "/").map(String.init) ?? []
        var rest = place.count == 2 ? Int(place[1]) : nil
        var end = place.first.map { rest == nil ? "(" + $0 : $0 } ?? "+"
        for _ in 0..<(AuditPage.depth / AuditPage.chunk) {
            let entries = try await self.direct(
                RedisCommand("XREVRANGE", self.lane.key("audit"), end, "-", "COUNT", String(AuditPage.chunk))
            ).elements
            for entry in entries {
                let parts = entry.elements
                guard parts.count == 2 else { throw Self.unexpected("XREVRANGE") }
                let id = String(decoding: parts[0].bytes, as: UTF8.self)
                end = "(" + id
                let fields = parts[1].elements
                let count = id == place.first ? min(rest ?? fields.count / 2, fields.count / 2) : fields.count / 2
                rest = nil
                for index in (0..<max(0, count)).reversed() {
                    let event = Array(fields[2 * index + 1].bytes)
                    guard AuditPage.holds(event, workspace) else { continue }
                    events.append(event)
                    if events.count == limit { return AuditPage(events: events, next: "\(id)/\(index)") }
                }
            }
            if entries.count < AuditPage.chunk { return AuditPage(events: events, next: nil) }
        }
        return AuditPage(events: events, next: String(end.dropFirst()))
    }

    package func jobs(
        in workspace: WorkspaceID, limit: Int, tag: JobTag? = nil, after: JobID? = nil
    ) async throws -> [JobRecord] {
        var call = self.call("jobs", workspace)
        call.append(limit)
        call.append(tag?.name ?? "")
        call.append(after?.uuid.bytes ?? [])
        return try await self.send(call).elements.filter { !$0.isNull }.map(Self.record)
    }

    package func waitForEnd(of id: JobID, in workspace: WorkspaceID, timeout: Duration) async throws -> JobState? {
        guard let blocking = self.blocking else { throw Self.noBlockingConnection }
        let now = try await self.send(self.call("wait", workspace, id))
        guard let state = now.bytes.first.flatMap({ JobState(letter: $0) }) else { return nil }
        if state.isFinal { return state }
        let pop = RedisCommand.listPopFirst(
            Array(self.lane.key("done:").utf8) + id.uuid.bytes, waiting: max(1, timeout.components.seconds))
        do {
            let answer = try await blocking.send(pop, timeout: timeout + .seconds(2)).elements
            return answer.count == 2 ? answer[1].bytes.first.flatMap { JobState(letter: $0) } ?? state : state
        } catch {
            throw JobQueueError.from(error)
        }
    }

    package func statistics() async throws -> QueueStatistics {
        let parts = try await self.send(self.call("stats")).elements.compactMap(\.integer)
        guard parts.count == 9 else { throw Self.unexpected("stats") }
        var statistics = QueueStatistics()
        statistics.waiting = parts[0]
        statistics.oldestAge = .milliseconds(parts[1])
        statistics.running = parts[2]
        statistics.delayed = parts[3]
        statistics.parked = parts[4]
        statistics.duplicates = parts[5]
        statistics.refused = parts[6]
        statistics.deadLettersEvicted = parts[7]
        statistics.refusedEntries = parts[8]
        return statistics
    }

    // MARK: - Intervening

    package func cancel(
        _ id: JobID, in workspace: WorkspaceID, request: [UInt8], outcome: [UInt8]
    ) async throws -> JobState? {
        var call = self.call("cancel", workspace, id)
        call.append(request)
        call.append(outcome)
        return try await self.send(call).bytes.first.flatMap { JobState(letter: $0) }
    }

    package func deadLetters(in workspace: WorkspaceID, limit: Int) async throws -> [DeadLetter] {
        var call = self.call("dead_letters", workspace)
        call.append(limit)
        return try await self.send(call).elements.compactMap(Self.deadLetter)
    }

    package func deadLetter(_ id: JobID, in workspace: WorkspaceID) async throws -> DeadLetter? {
        Self.deadLetter(try await self.send(self.call("dead_letter", workspace, id)))
    }

    package func requeue(
        _ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]
    ) async throws -> DeadLetterResult {
        var call = self.call("requeue", workspace, id)
        call.append(auditEvent)
        call.append(self.limits.retention.milliseconds)
        return try await self.letterAnswer(call)
    }

    package func drop(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> DeadLetterResult {
        var call = self.call("drop", workspace, id)
        call.append(auditEvent)
        return try await self.letterAnswer(call)
    }

    private func letterAnswer(_ call: RedisCommand) async throws -> DeadLetterResult {
        guard let answer = try await self.send(call).integer.flatMap(DeadLetterResult.init(rawValue:)) else {
            throw Self.unexpected("a dead letter's call")
        }
        return answer
    }

    package func resolve(
        _ id: JobID, in workspace: WorkspaceID, as resolution: Resolution, reason: String, auditEvent: [UInt8]
    ) async throws -> Bool {
        var call = self.call("resolve", workspace, id)
        call.append([resolution.state.letter])
        call.append(reason)
        call.append(auditEvent)
        call.append(self.limits.retention.milliseconds)
        return try await self.send(call).integer == 1
    }

    package func setLimits(
        _ limits: WorkspaceLimits?, of workspace: WorkspaceID, auditEvent: [UInt8]
    ) async throws {
        var call = self.call("limit", workspace)
        call.append(limits?.text ?? "")
        call.append(auditEvent)
        _ = try await self.send(call)
    }

    package func quarantine(
        _ workspace: WorkspaceID, reason: String?, auditEvent: [UInt8]
    ) async throws -> Bool {
        var call = self.call("quarantine", workspace)
        call.append(reason.map { $0.isEmpty ? "not given" : $0 } ?? "")
        call.append(auditEvent)
        return try await self.send(call).integer == 1
    }

    package func quarantined() async throws -> [Quarantine] {
        try await self.send(self.call("quarantines")).elements.compactMap { element in
            let parts = element.elements
            guard parts.count == 2, let name = parts[0].string, let reason = parts[1].string else { return nil }
            return Quarantine(workspace: name, reason: reason)
        }.sorted { $0.workspace < $1.workspace }
    }

    package func workspaceLimits() async throws -> [WorkspaceLoad] {
        try await self.send(self.call("limits")).elements.compactMap { element in
            let parts = element.elements
            guard parts.count == 3, let name = parts[0].string, let text = parts[1].string,
                let limits = WorkspaceLimits(text: text)
            else { return nil }
            return WorkspaceLoad(workspace: name, limits: limits, running: parts[2].integer ?? 0)
        }.sorted { $0.workspace < $1.workspace }
    }

    // MARK: - Listening

    package func position(after before: QueuePosition?) async throws -> QueuePosition {
        let bell = try await self.last(of: "bell")
        guard let before else { return QueuePosition(bell: bell, control: try await self.last(of: "control")) }
        return QueuePosition(bell: bell, control: before.control)
    }

    private func last(of stream: String) async throws -> EntryID {
        let reply = try await self.direct(.streamLast(self.lane.key(stream)))
        return reply.elements.first?.elements.first.flatMap { EntryID(text: $0.bytes) }
            ?? EntryID(milliseconds: 0, sequence: 0)
    }

    package func listen(from position: inout QueuePosition, timeout: Duration) async throws -> [JobID] {
        guard let blocking = self.blocking else { throw Self.noBlockingConnection }
        let command = RedisCommand.streamRead(
            [
                (self.lane.key("bell"), position.bell.description),
                (self.lane.key("control"), position.control.description),
            ], count: 64, waiting: timeout.milliseconds)
        do {
            var cancelled: [JobID] = []
            for stream in try await blocking.send(command, timeout: timeout + .seconds(1)).elements {
                let parts = stream.elements
                guard parts.count == 2,
                    let last = parts[1].elements.last?.elements.first.flatMap({ EntryID(text: $0.bytes) })
                else { continue }
                if parts[0].string == self.lane.key("bell") {
                    position.bell = last
                } else {
                    position.control = last
                    cancelled += parts[1].elements.compactMap(Self.cancelledJob)
                }
            }
            return cancelled
        } catch {
            throw JobQueueError.from(error)
        }
    }

    // MARK: - Calls

    func call(_ function: String, capacity: Int = 256) -> RedisCommand {
        .functionCall(self.functions.name(function), key: self.lane.anchor, capacity: capacity)
    }

    private func call(_ function: String, _ workspace: WorkspaceID, _ id: JobID? = nil) -> RedisCommand {
        var call = self.call(function)
        call.append(workspace.name)
        if let id { call.append(id.uuid.bytes) }
        return call
    }

    func send(_ call: RedisCommand) async throws -> RESPValue {
        do {
            let replies = try await self.functions.library.call([call], on: self.client)
            guard let reply = replies.first else { throw Self.unexpected("a function call") }
            return try reply.checked()
        } catch {
            throw JobQueueError.from(error)
        }
    }

    private func direct(_ command: RedisCommand) async throws -> RESPValue {
        do { return try await self.client.send(command) } catch { throw JobQueueError.from(error) }
    }

    // MARK: - Answers

    static func unexpected(_ what: String) -> JobQueueError {
        JobQueueError(code: .failed, message: "Redis' answer to \(what) has not the expected shape")
    }

    private static let noBlockingConnection = JobQueueError(
        code: .failed, message: "this queue was made without a connection for calls that wait")

    private static func record(_ value: RESPValue) throws -> JobRecord {
        let parts = value.elements
        guard parts.count == 6, let uuid = UUIDBytes(bytes: parts[0].bytes),
            let record = StoredRecord(bytes: parts[1].bytes)
        else { throw self.unexpected("a job's record") }
        return record.shown(
            id: JobID(uuid: uuid), runner: parts[2].string ?? "", failures: parts[3].integer ?? 0,
            crashes: parts[4].integer ?? 0, progress: parts[5].string.flatMap(JobProgress.init(text:)))
    }

    private static func deadLetter(_ value: RESPValue) -> DeadLetter? {
        let parts = value.elements
        guard parts.count == 3, let record = StoredRecord(bytes: parts[1].bytes) else { return nil }
        let uuid = UUIDBytes(bytes: parts[0].bytes) ?? UUIDBytes(high: 0, low: 0)
        return DeadLetter(
            job: JobID(uuid: uuid), state: record.state, action: record.action, reason: record.reason,
            sealedOutput: record.result, since: record.ended)
    }

    /// `[entry id, ["c", job id]]`; anything else is for others.
    private static func cancelledJob(_ entry: RESPValue) -> JobID? {
        let fields = entry.elements.last?.elements ?? []
        guard fields.count == 2, fields[0].string == "c" else { return nil }
        return UUIDBytes(bytes: fields[1].bytes).map { JobID(uuid: $0) }
    }
}

extension Resolution {
    /// The state in which it leaves the job.
    package var state: JobState {
        switch self {
        case .done: .completed
        case .failed: .discarded
        case .retry: .available
        }
    }
}

extension JobProgress {
    /// `ms:percent:text`
    fileprivate init?(text: String) {
        let parts = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let time = UInt64(parts[0]), let percent = Int(parts[1]) else { return nil }
        self.init(percent: percent, text: String(parts[2]), time: time)
    }
}

extension SealedSubmission {
    /// What only some submissions have, as the functions read it; the key's stamp comes last.
    fileprivate var extras: String {
        var text = ""
        if let unique = self.uniqueDigest { text += "u=\(Hexadecimal.text(of: unique[...]));" }
        if !self.tags.isEmpty { text += "t=\(self.tags.map(\.name).joined(separator: ","));" }
        if let tick = self.tick { text += "k=\(tick.name):\(tick.time);" }
        if !self.keyStamp.isEmpty { text += "h=\(self.keyID).\(Hexadecimal.text(of: self.keyStamp[...]));" }
        return text
    }
}
