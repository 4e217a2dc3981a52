package import Domain
internal import Redis

/// Reading.
extension RedisStreamJobQueue {
    /// Returns the job; nil when there is none. Throws `JobQueueError`: `failed` when its record is malformed.
    package func job(_ id: JobID, in workspace: WorkspaceID) async throws -> JobRecord? {
        let reply = try await self.send(self.call("job", workspace, id))
        return reply.isNull ? nil : try Self.record(reply)
    }

    /// Returns events of the workspace, the newest first; reads at most `AuditPage.depth` entries of the lane.
    package func auditTrail(
        of workspace: WorkspaceID, before cursor: String?, limit: Int
    ) async throws -> AuditPage {
        var events: [[UInt8]] = []
        // An entry contains the events of one step, oldest first. A page may end within an entry: the cursor is then
        // `ENTRY/COUNT`, with the number of its events that are left.
        let parts = cursor?.split(separator: "/").map(String.init) ?? []
        var rest = parts.count == 2 ? Int(parts[1]) : nil
        var end = parts.first.map { rest == nil ? "(" + $0 : $0 } ?? "+"
        for _ in 0..<(AuditPage.depth / AuditPage.chunk) {
            let entries = try await self.direct(
                RedisCommand("XREVRANGE", self.lane.key("audit"), end, "-", "COUNT", String(AuditPage.chunk))
            ).elements
            for entry in entries {
                let idAndFields = entry.elements
                guard idAndFields.count == 2 else { throw Self.unexpected("XREVRANGE") }
                let id = String(decoding: idAndFields[0].bytes, as: UTF8.self)
                end = "(" + id
                let fields = idAndFields[1].elements
                let count = id == parts.first ? min(rest ?? fields.count / 2, fields.count / 2) : fields.count / 2
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

    /// Returns the newest jobs. Throws `JobQueueError`: `failed` when one of the records is malformed.
    package func jobs(
        in workspace: WorkspaceID, limit: Int, tag: JobTag? = nil, after: JobID? = nil
    ) async throws -> [JobRecord] {
        var call = self.call("jobs", workspace)
        call.append(limit)
        call.append(tag?.name ?? "")
        call.append(after?.uuid.bytes ?? [])
        return try await self.send(call).elements.filter { !$0.isNull }.map(Self.record)
    }

    /// Returns the jobs that nodes hold. Throws `JobQueueError`: `failed` when the reply is malformed.
    package func running(in workspace: WorkspaceID) async throws -> [JobID] {
        try await self.send(self.call("running", workspace)).elements.map { value in
            guard let uuid = UUIDBytes(bytes: value.bytes) else { throw Self.unexpected("running") }
            return JobID(uuid: uuid)
        }
    }

    /// Returns the numbers of this lane. Throws `JobQueueError`: `failed` when the reply is malformed.
    package func statistics() async throws -> QueueStatistics {
        let parts = try await self.send(self.call("stats")).elements.compactMap(\.integer)
        guard parts.count == 10 else { throw Self.unexpected("stats") }
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
        statistics.stranded = parts[9]
        return statistics
    }

    private static func record(_ value: RESPValue) throws -> JobRecord {
        let parts = value.elements
        guard parts.count == 6, let uuid = UUIDBytes(bytes: parts[0].bytes),
            let record = StoredRecord(bytes: parts[1].bytes)
        else { throw self.unexpected("a job's record") }
        return record.jobRecord(
            id: JobID(uuid: uuid), runner: parts[2].string ?? "", failures: parts[3].integer ?? 0,
            crashes: parts[4].integer ?? 0, progress: parts[5].string.flatMap(JobProgress.init(stored:)))
    }
}
