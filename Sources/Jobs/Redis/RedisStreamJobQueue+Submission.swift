package import Domain
internal import Redis

/// Submitting.
extension RedisStreamJobQueue {
    /// Stores the jobs in one call. Throws `JobQueueError`: `failed` when the reply is malformed.
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
            let state = parts[2].bytes.first.flatMap { JobState(code: $0) }
            switch code {
            case 0: return .accepted(id)
            case 1: return .duplicate(id, state: state)
            case 2: return .conflict(first: id)
            case 3: return .full
            case 4: return .notUnique(id, state: state)
            case 5: return .quarantined
            case 6: return .staleKey
            default: throw Self.unexpected("submit")
            }
        }
    }

    /// Appends the event to the trail of the workspace, or to the lane's trail of events without one.
    package func appendAudit(_ event: [UInt8], of workspace: WorkspaceID?) async throws {
        var call = self.call("audit", capacity: event.count + 128)
        call.append(workspace?.name ?? "")
        call.append(event)
        _ = try await self.send(call)
    }

    /// Returns the last tick in milliseconds since the epoch. Throws `JobQueueError`: `failed` for a malformed reply.
    package func lastTick(of schedule: ScheduleTick) async throws -> UInt64 {
        var call = self.call("tick")
        call.append(schedule.name)
        guard let time = try await self.send(call).integer else { throw Self.unexpected("tick") }
        return UInt64(clamping: time)
    }
}

extension SealedSubmission {
    /// The optional parts of a submission, in the form that the function `submit` reads. The stamp of the key is last.
    fileprivate var extras: String {
        var text = ""
        if let unique = self.uniqueDigest { text += "u=\(Hexadecimal.text(of: unique[...]));" }
        if !self.tags.isEmpty { text += "t=\(self.tags.map(\.name).joined(separator: ","));" }
        if let tick = self.tick { text += "k=\(tick.name):\(tick.time);" }
        if !self.keyStamp.isEmpty { text += "h=\(self.keyID).\(Hexadecimal.text(of: self.keyStamp[...]));" }
        return text
    }
}
