package import Domain
package import Redis

/// A node's side of the queue: it joins under a name, claims entries, keeps its lease, completes.
///
/// One incarnation holds the lease; a call of an older one is refused with `JobQueueError.replaced`, and
/// what it reports of its jobs is not written.
package struct NodeLease: Sendable {
    package let queue: RedisStreamJobQueue
    package let node: NodeID
    package let incarnation: Incarnation
    /// What tells two machines with one node name apart.
    package let owner: String

    package init(queue: RedisStreamJobQueue, node: NodeID, incarnation: Incarnation, owner: String) {
        self.queue = queue
        self.node = node
        self.incarnation = incarnation
        self.owner = owner
    }

    /// Takes the node's name and returns what its earlier life held; each of those counts as a crash.
    /// Throws `nameTaken` while another machine holds the name.
    package func join() async throws -> [Delivery] {
        var call = self.queue.call("join")
        call.append(self.node.name)
        call.append(self.incarnation.description)
        call.append(self.owner)
        call.append(self.queue.limits.lease.milliseconds)
        return try self.deliveries(try await self.queue.send(call), isRecovered: true)
    }

    /// Takes up to `most` entries in the streams' turn, at most `quantum` of one stream, and of no workspace
    /// more than `share` together with what the node holds of it already; none is fine.
    package func claim(
        most: Int, quantum: Int = 32, share: Int = .max, held: [WorkspaceID: Int] = [:]
    ) async throws -> [Delivery] {
        var call = self.queue.call("claim")
        call.append(self.node.name)
        call.append(self.incarnation.description)
        call.append(most)
        call.append(quantum)
        call.append(min(share, 1_000_000))
        for (workspace, count) in held {
            call.append(workspace.name)
            call.append(count)
        }
        return try self.deliveries(try await self.queue.send(call), isRecovered: false)
    }

    /// What this incarnation holds; asked after a claim whose answer was lost.
    package func held() async throws -> [Delivery] {
        var call = self.queue.call("held")
        call.append(self.node.name)
        call.append(self.incarnation.description)
        return try self.deliveries(try await self.queue.send(call), isRecovered: false)
    }

    /// Where a node has heard up to, in each of the streams that it listens to.
    package struct Position: Hashable, Sendable {
        var bell: String
        var control: String
    }

    /// Sleeps in a blocking read until some stream gets work or somebody wants something of the nodes, at most
    /// `timeout`. `position` is where the last call ended; what came since is not missed. Returns the jobs that
    /// are to be cancelled, whoever runs them.
    package func listen(
        from position: inout Position, blocking: RedisClient, timeout: Duration
    ) async throws -> [JobID] {
        let lane = self.queue.lane
        let command = RedisCommand.streamRead(
            [(lane.key("bell"), position.bell), (lane.key("control"), position.control)], count: 64,
            waiting: timeout.milliseconds)
        do {
            var cancelled: [JobID] = []
            for stream in try await blocking.send(command, timeout: timeout + .seconds(1)).elements {
                let parts = stream.elements
                guard parts.count == 2, let last = parts[1].elements.last?.elements.first?.string else { continue }
                if parts[0].string == lane.key("bell") {
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

    /// `[entry id, ["c", job id]]`; anything else is for others.
    private static func cancelledJob(_ entry: RESPValue) -> JobID? {
        let fields = entry.elements.last?.elements ?? []
        guard fields.count == 2, fields[0].string == "c" else { return nil }
        return UUIDBytes(bytes: fields[1].bytes).map { JobID(uuid: $0) }
    }

    /// Where the streams stand now; the first `listen` starts there. What was said in `before` and later is heard.
    package func position(after before: Position?) async throws -> Position {
        do {
            let bell = try await self.last(of: "bell")
            guard let before else { return Position(bell: bell, control: try await self.last(of: "control")) }
            return Position(bell: bell, control: before.control)
        } catch {
            throw JobQueueError.from(error)
        }
    }

    private func last(of stream: String) async throws -> String {
        let reply = try await self.queue.client.send(.streamLast(self.queue.lane.key(stream)))
        return reply.elements.first?.elements.first?.string ?? "0-0"
    }

    /// What a renewal tells.
    package struct Renewal: Sendable {
        /// The names of nodes whose lease is over.
        package let dead: [String]
        /// Jobs of this node that somebody wants cancelled.
        package let cancelled: [JobID]
    }

    /// Keeps the lease for another term.
    package func renew() async throws -> Renewal {
        var call = self.queue.call("renew")
        call.append(self.node.name)
        call.append(self.incarnation.description)
        call.append(self.queue.limits.lease.milliseconds)
        let parts = try await self.queue.send(call).elements
        guard parts.count == 2 else { throw RedisStreamJobQueue.unexpected("renew") }
        return Renewal(
            dead: parts[0].elements.compactMap(\.string),
            cancelled: parts[1].elements.compactMap { UUIDBytes(bytes: $0.bytes).map { JobID(uuid: $0) } })
    }

    /// Puts what a dead node held back in line; how many.
    package func rescue(_ dead: String) async throws -> Int {
        var call = self.queue.call("rescue")
        call.append(dead)
        call.append(200)
        return try await self.queue.send(call).integer ?? 0
    }

    /// Puts jobs whose time has come in line; how many, and when the next is due.
    package func moveDue() async throws -> Int {
        var call = self.queue.call("due")
        call.append(500)
        return try await self.queue.send(call).elements.first?.integer ?? 0
    }

    /// Gives the name up at the end of a drain.
    package func leave() async throws {
        var call = self.queue.call("leave")
        call.append(self.node.name)
        call.append(self.incarnation.description)
        _ = try await self.queue.send(call)
    }

    /// Writes outcomes, audit events and acknowledgements together; for each job whether it was written.
    /// False means that the job is no longer this incarnation's: nothing of it was written. May be sent
    /// again after a lost connection, then says false for what had been written.
    package func finish(_ completions: [Completion]) async throws -> [Bool] {
        var call = self.queue.call("finish", capacity: completions.count * 768)
        call.append(self.node.name)
        call.append(self.queue.limits.retention.milliseconds)
        for completion in completions {
            call.append(completion.delivery.entry.leaseKey)
            call.append(completion.delivery.entry.token)
            if let id = completion.delivery.jobID { call.append(id.uuid.bytes) } else { call.append("") }
            call.append(completion.end.stateName)
            call.append(completion.action)
            call.append(completion.submittedAt)
            call.append(completion.startedAt)
            call.append(completion.failures)
            call.append(completion.crashes)
            call.append(completion.reason)
            call.append(completion.sealedResult)
            call.append(completion.auditEvent)
            if case .retry(let delay) = completion.end { call.append(delay.milliseconds) } else { call.append(0) }
            // The entry itself is needed only where it goes elsewhere.
            switch completion.end {
            case .completed, .cancelled: call.append("")
            case .discarded, .retry, .released: call.append(completion.delivery.envelope)
            }
        }
        let answers = try await self.queue.send(call).elements.map { $0.integer == 1 }
        guard answers.count == completions.count else { throw RedisStreamJobQueue.unexpected("finish") }
        return answers
    }

    /// `orc:{l0}:w:<workspace>:s:<priority>`
    private static func workspace(ofStream stream: String) throws -> WorkspaceID {
        let names = stream.split(separator: ":")
        guard names.count == 6, names[2] == "w" else { throw RedisStreamJobQueue.unexpected("a stream's name") }
        return try WorkspaceID(String(names[3]))
    }

    private func deliveries(_ reply: RESPValue, isRecovered: Bool) throws -> [Delivery] {
        // A stream's name is read once, however many entries come from it.
        var workspaces: [String: WorkspaceID] = [:]
        return try reply.elements.map { try self.delivery($0, isRecovered: isRecovered, &workspaces) }
    }

    private func delivery(
        _ value: RESPValue, isRecovered: Bool, _ workspaces: inout [String: WorkspaceID]
    ) throws -> Delivery {
        let parts = value.elements
        guard parts.count == 7, let stream = parts[0].string, let token = parts[3].string else {
            throw RedisStreamJobQueue.unexpected("a delivery")
        }
        let workspace = try workspaces[stream] ?? Self.workspace(ofStream: stream)
        workspaces[stream] = workspace
        return Delivery(
            workspace: workspace,
            jobID: UUIDBytes(bytes: parts[1].bytes).map { JobID(uuid: $0) },
            entry: EntryReference(leaseKey: Array(parts[2].bytes), token: token), envelope: Array(parts[4].bytes),
            crashes: parts[6].integer ?? 0, failures: parts[5].integer ?? 0, isRecovered: isRecovered)
    }
}

extension Completion.End {
    fileprivate var stateName: String {
        switch self {
        case .completed: JobState.completed.rawValue
        case .cancelled: JobState.cancelled.rawValue
        case .discarded: JobState.discarded.rawValue
        case .retry: JobState.retryable.rawValue
        case .released: JobState.available.rawValue
        }
    }
}
