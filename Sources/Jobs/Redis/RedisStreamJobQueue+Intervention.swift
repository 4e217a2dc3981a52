package import Domain
internal import Redis

/// Intervening.
extension RedisStreamJobQueue {
    /// Calls the function `cancel`. Returns the state before; nil when there is no such job.
    package func cancel(
        _ id: JobID, in workspace: WorkspaceID, request: [UInt8], outcome: [UInt8]
    ) async throws -> JobState? {
        var call = self.call("cancel", workspace, id)
        call.append(request)
        call.append(outcome)
        return try await self.send(call).bytes.first.flatMap { JobState(code: $0) }
    }

    /// Returns at most `limit` dead letters, the newest first; omits malformed ones.
    package func deadLetters(in workspace: WorkspaceID, limit: Int) async throws -> [DeadLetter] {
        var call = self.call("dead_letters", workspace)
        call.append(limit)
        // A dead letter that another writer damaged is left out: it must not hide the others.
        return try await self.send(call).elements.compactMap(Self.deadLetter)
    }

    /// Returns the dead letter; nil when there is none. Throws `JobQueueError`: `unreadable` when it is malformed.
    package func deadLetter(_ id: JobID, in workspace: WorkspaceID) async throws -> DeadLetter? {
        let reply = try await self.send(self.call("dead_letter", workspace, id))
        guard !reply.isNull else { return nil }
        guard let deadLetter = Self.deadLetter(reply) else {
            throw JobQueueError(code: .unreadable, message: "the dead letter of job \(id) is malformed")
        }
        return deadLetter
    }

    /// Calls the function `requeue`. Throws `JobQueueError`: `failed` for an unknown reply.
    package func requeue(
        _ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]
    ) async throws -> DeadLetterResult {
        var call = self.call("requeue", workspace, id)
        call.append(auditEvent)
        call.append(self.limits.retention.milliseconds)
        return try await self.deadLetterResult(call)
    }

    /// Calls the function `drop`. Throws `JobQueueError`: `failed` for an unknown reply.
    package func drop(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> DeadLetterResult {
        var call = self.call("drop", workspace, id)
        call.append(auditEvent)
        return try await self.deadLetterResult(call)
    }

    private func deadLetterResult(_ call: RedisCommand) async throws -> DeadLetterResult {
        guard let result = try await self.send(call).integer.flatMap(DeadLetterResult.init(rawValue:)) else {
            throw Self.unexpected("a call for a dead letter")
        }
        return result
    }

    /// Calls the function `resolve`. Returns false when there is no such unresolved job.
    package func resolve(
        _ id: JobID, in workspace: WorkspaceID, as resolution: Resolution, reason: String, auditEvent: [UInt8]
    ) async throws -> Bool {
        var call = self.call("resolve", workspace, id)
        call.append([resolution.state.code])
        call.append(reason)
        call.append(auditEvent)
        call.append(self.limits.retention.milliseconds)
        return try await self.send(call).integer == 1
    }

    /// Stores the limits as text, or removes them when `limits` is nil.
    package func setLimits(
        _ limits: WorkspaceLimits?, of workspace: WorkspaceID, auditEvent: [UInt8]
    ) async throws {
        var call = self.call("limit", workspace)
        call.append(limits?.text ?? "")
        call.append(auditEvent)
        _ = try await self.send(call)
    }

    /// Starts a quarantine, or ends it when `reason` is nil; stores "not given" for an empty reason.
    package func quarantine(
        _ workspace: WorkspaceID, reason: String?, auditEvent: [UInt8]
    ) async throws -> Bool {
        var call = self.call("quarantine", workspace)
        call.append(reason.map { $0.isEmpty ? "not given" : $0 } ?? "")
        call.append(auditEvent)
        return try await self.send(call).integer == 1
    }

    /// Returns the workspaces of this lane that are in quarantine, by name; omits malformed entries.
    package func quarantined() async throws -> [Quarantine] {
        try await self.send(self.call("quarantines")).elements.compactMap { element in
            let parts = element.elements
            guard parts.count == 2, let name = parts[0].string, let reason = parts[1].string else { return nil }
            return Quarantine(workspace: name, reason: reason)
        }.sorted { $0.workspace < $1.workspace }
    }

    /// Returns the workspaces of this lane that have a weight or limits, by name; omits malformed entries.
    package func workspaceLimits() async throws -> [WorkspaceLoad] {
        try await self.send(self.call("limits")).elements.compactMap { element in
            let parts = element.elements
            guard parts.count == 3, let name = parts[0].string, let text = parts[1].string,
                let limits = WorkspaceLimits(text: text)
            else { return nil }
            return WorkspaceLoad(workspace: name, limits: limits, running: parts[2].integer ?? 0)
        }.sorted { $0.workspace < $1.workspace }
    }

    /// Calls the function `home`. Throws `JobQueueError`: `failed` when the reply is malformed.
    package func setHome(_ node: NodeID?, of workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> HomeChange {
        var call = self.call("home", workspace)
        call.append(node?.name ?? "")
        call.append(auditEvent)
        let parts = try await self.send(call).elements
        guard parts.count == 2, let isDone = parts[0].integer, let files = parts[1].string else {
            throw Self.unexpected("home")
        }
        return isDone == 1 ? .done(files: files) : .hasNone
    }

    /// Returns the workspaces of this lane that have or had a home, by name; omits malformed entries.
    package func homes() async throws -> [WorkspaceHome] {
        try await self.send(self.call("homes")).elements.compactMap { element in
            let parts = element.elements
            guard parts.count == 4, let workspace = parts[0].string, let node = parts[1].string,
                let isHome = parts[2].integer, let since = parts[3].integer
            else { return nil }
            return WorkspaceHome(
                workspace: workspace, node: node, isHome: isHome == 1,
                presence: since < 0 ? .present : .away(since: UInt64(since)))
        }.sorted { $0.workspace < $1.workspace }
    }

    private static func deadLetter(_ value: RESPValue) -> DeadLetter? {
        let parts = value.elements
        guard parts.count == 3, let record = StoredRecord(bytes: parts[1].bytes) else { return nil }
        let uuid = UUIDBytes(bytes: parts[0].bytes) ?? UUIDBytes(high: 0, low: 0)
        return DeadLetter(
            job: JobID(uuid: uuid), state: record.state, action: record.action, reason: record.reason,
            sealedOutput: record.result, since: record.ended)
    }
}
