package import Domain
internal import Redis

/// Reading.
extension RedisStreamJobQueue {
    /// Returns the job; nil when there is none. Throws `JobQueueError`: `failed` when its record is malformed.
    package func job(_ id: JobID, in workspace: WorkspaceID) async throws -> JobRecord? {
        let reply = try await self.send(self.call("job", workspace, id))
        return reply.isNull ? nil : try Self.record(reply)
    }

    /// Returns events of the workspace, or of none, the newest first; reads no more entries than it returns events. Throws
    /// `JobQueueError`: `failed` when the reply is malformed.
    package func auditTrail(
        of workspace: WorkspaceID?, before cursor: String?, limit: Int
    ) async throws -> AuditPage {
        // An entry contains the events of one step, oldest first. A page may end within an entry: its cursor is
        // `ENTRY/COUNT`, with the number of its events that are left.
        let parts = cursor?.split(separator: "/").map(String.init) ?? []
        var call = self.call("trail")
        call.append(workspace?.name ?? "")
        call.append(parts.first.map { parts.count == 2 ? $0 : "(" + $0 } ?? "+")
        call.append(parts.count == 2 ? parts[1] : "")
        call.append(limit)
        let reply = try await self.send(call).elements
        guard let next = reply.first?.string else { throw Self.unexpected("trail") }
        return AuditPage(events: reply.dropFirst().map { Array($0.bytes) }, next: next.isEmpty ? nil : next)
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
            crashes: parts[4].integer ?? 0, progress: SealedProgress(stored: parts[5].bytes))
    }
}
