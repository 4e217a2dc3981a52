package import Domain
internal import Redis

/// The calls of nodes.
extension RedisStreamJobQueue {
    /// Registers the incarnation. Returns what an earlier one held, marked as recovered.
    package func join(as node: NodeIdentity) async throws -> [Delivery] {
        var call = self.call("join", node)
        call.append(node.owner)
        call.append(self.limits.lease.milliseconds)
        call.append(self.limits.homes.hasHomes ? 1 : 0)
        return try Self.heldDeliveries(try await self.send(call), isRecovered: true)
    }

    /// Calls the function `claim`. Throws `JobQueueError`: `failed` when the reply is malformed.
    package func claim(_ request: ClaimRequest, as node: NodeIdentity) async throws -> Claim {
        var call = self.call("claim", node)
        call.append(request.most)
        call.append(request.quantum)
        call.append(request.share)
        call.append(request.number)
        call.append(self.limits.homes.hasHomes ? 1 : 0)
        for (workspace, count) in request.held {
            call.append(workspace.name)
            call.append(count)
        }
        return try Self.claim(try await self.send(call), isRecovered: false)
    }

    /// Returns what the incarnation holds; later claims with a number below `fence` are refused.
    package func held(by node: NodeIdentity, fence: UInt64) async throws -> [Delivery] {
        var call = self.call("held", node)
        call.append(fence)
        return try Self.heldDeliveries(try await self.send(call), isRecovered: false)
    }

    /// Renews the node's lease for `limits.lease`. Throws `JobQueueError`: `failed` when the reply is malformed.
    package func renew(as node: NodeIdentity) async throws -> Renewal {
        var call = self.call("renew", node)
        call.append(self.limits.lease.milliseconds)
        let parts = try await self.send(call).elements
        guard parts.count == 3 else { throw Self.unexpected("renew") }
        return Renewal(
            dead: parts[0].elements.compactMap(\.string),
            cancelled: parts[1].elements.compactMap { UUIDBytes(bytes: $0.bytes).map { JobID(uuid: $0) } },
            held: parts[2].integer ?? 0)
    }

    /// Returns the nodes whose lease holds in this lane, by the end of their leases; omits malformed entries.
    package func livingNodes() async throws -> [LivingNode] {
        try await self.send(self.call("nodes")).elements.compactMap { element in
            let parts = element.elements
            guard parts.count == 2, let name = parts[0].string, let incarnation = parts[1].string else { return nil }
            return LivingNode(name: name, incarnation: incarnation)
        }
    }

    /// Requeues at most `most` entries of a dead node. Returns their number.
    package func rescue(_ dead: String, most: Int) async throws -> Int {
        var call = self.call("rescue")
        call.append(dead)
        call.append(most)
        return try await self.send(call).integer ?? 0
    }

    /// Makes at most `most` due jobs available. Returns their number.
    package func moveDue(most: Int) async throws -> Int {
        var call = self.call("due")
        call.append(most)
        call.append(self.limits.lease.milliseconds)
        call.append(self.limits.retention.milliseconds)
        call.append(self.limits.homes.timeout.map(String.init) ?? "")
        return try await self.send(call).integer ?? 0
    }

    /// Takes one step of the comparison. Leaves out jobs whose record cannot be read. Throws `JobQueueError`: `failed` when
    /// the reply is malformed.
    package func compare(as node: NodeIdentity) async throws -> QueueComparison {
        let parts = try await self.send(self.call("compare", node)).elements
        guard parts.count == 4, let missing = parts[0].integer, let isRunning = parts[1].integer,
            let auditEntries = parts[2].integer
        else { throw Self.unexpected("compare") }
        let fields = parts[3].elements
        let lost: [LostJob] = stride(from: 0, to: fields.count - fields.count % 3, by: 3).compactMap { index in
            guard let workspace = WorkspaceID(ifValid: fields[index].string ?? ""),
                let uuid = UUIDBytes(bytes: fields[index + 1].bytes),
                let record = StoredRecord(bytes: fields[index + 2].bytes)
            else { return nil }
            return LostJob(id: JobID(uuid: uuid), workspace: workspace, action: record.action)
        }
        return QueueComparison(
            missing: missing, hasNextStep: isRunning == 1, auditEntries: auditEntries, lost: lost)
    }

    /// Ends jobs as `lost` in one call; returns how many had no entry still.
    package func lose(_ jobs: [(job: LostJob, auditEvent: [UInt8])], reason: String) async throws -> Int {
        var call = self.call("lose")
        call.append(self.limits.retention.milliseconds)
        call.append(reason)
        for (job, event) in jobs {
            call.append(job.workspace.name)
            call.append(job.id.uuid.bytes)
            call.append(event)
        }
        return try await self.send(call).integer ?? 0
    }

    /// Removes the node unless it holds an entry.
    package func leave(as node: NodeIdentity) async throws { _ = try await self.send(self.call("leave", node)) }

    /// Stores the progress. Returns false when the incarnation does not hold the job.
    package func noteProgress(
        _ progress: SealedProgress, of job: JobID, as node: NodeIdentity
    ) async throws -> Bool {
        var call = self.call("progress", node)
        call.append(job.uuid.bytes)
        call.append(progress.percent)
        call.append(progress.sealedText)
        return try await self.send(call).integer == 1
    }

    /// Writes all outcomes in one call, if any. Returns for each, in order, whether it was written.
    package func finish(_ completions: [Completion], as node: NodeIdentity) async throws -> [Bool] {
        guard !completions.isEmpty else { return [] }
        var call = self.call("finish", node, capacity: completions.count * 512)
        call.append(self.limits.retention.milliseconds)
        // Grouped by stream, so that each stream is named and acknowledged once.
        let streams = Self.byStream(completions)
        for stream in streams {
            let first = completions[stream[0]].delivery.entry
            call.append(first.streamSuffix)
            // Negative: the node leaves the home of the workspace.
            call.append(completions[stream[0]].leavesHome ? -stream.count : stream.count)
            for index in stream {
                let completion = completions[index]
                call.append(completion.delivery.leaseKey)
                call.append(completion.delivery.entry.id.description)
                call.append(StoredRecord(completion, node: node.node).bytes)
                call.append(completion.auditEvent)
                call.append(completion.valueToStore)
            }
        }
        let replies = try await self.send(call).elements
        guard replies.count == completions.count else { throw Self.unexpected("finish") }
        var written = [Bool](repeating: false, count: completions.count)
        for (index, reply) in zip(streams.joined(), replies) { written[index] = reply.integer == 1 }
        return written
    }

    /// The indices of the completions, grouped by stream.
    private static func byStream(_ completions: [Completion]) -> [[Int]] {
        struct Stream: Hashable {
            let workspace: WorkspaceID
            let priority: Priority
            let leavesHome: Bool
        }
        var places: [Stream: Int] = [:]
        var streams: [[Int]] = []
        for (index, completion) in completions.enumerated() {
            let entry = completion.delivery.entry
            let stream = Stream(
                workspace: entry.workspace, priority: entry.priority, leavesHome: completion.leavesHome)
            if let place = places[stream] {
                streams[place].append(index)
            } else {
                places[stream] = streams.count
                streams.append([index])
            }
        }
        return streams
    }

    /// Starts a call whose first arguments are a node and its incarnation.
    private func call(_ function: String, _ node: NodeIdentity, capacity: Int = 256) -> RedisCommand {
        var call = self.call(function, capacity: capacity)
        call.append(node.node.name)
        call.append(node.incarnation.description)
        return call
    }

    /// Reads the flat reply of a call that delivers entries; `begin_delivery` in the functions documents it.
    private static func claim(_ reply: RESPValue, isRecovered: Bool) throws -> Claim {
        let parts = reply.elements
        guard parts.count >= 4, let flags = parts[0].integer, let dropped = parts[1].integer,
            let refused = parts[2].integer
        else {
            throw self.unexpected("a claim")
        }
        var deliveries: [Delivery] = []
        let width = flags & 1 == 1 ? 3 : 2
        var index = 4
        while index < parts.count {
            guard index + 1 < parts.count, let suffix = parts[index].string, let count = parts[index + 1].integer,
                count >= 0, index + 2 + count * width <= parts.count
            else { throw self.unexpected("a claim") }
            let (workspace, priority) = try self.stream(suffix)
            index += 2
            for _ in 0..<count {
                guard let id = EntryID(text: parts[index].bytes) else { throw self.unexpected("a delivery") }
                let value = parts[index + 1].bytes
                let tries =
                    width == 3 ? (parts[index + 2].string ?? "").split(separator: ":").compactMap { Int($0) } : []
                let job = value.count >= 16 ? UUIDBytes(bytes: value.prefix(16)).map { JobID(uuid: $0) } : nil
                deliveries.append(
                    Delivery(
                        workspace: workspace, jobID: job,
                        entry: EntryReference(workspace: workspace, priority: priority, id: id),
                        envelope: Array(job == nil ? value : value.dropFirst(16)),
                        crashes: tries.count == 2 ? tries[1] : 0, failures: tries.count == 2 ? tries[0] : 0,
                        isRecovered: isRecovered))
                index += width
            }
        }
        return Claim(
            deliveries: deliveries, dropped: dropped, refused: refused, hasMore: flags & 2 == 2,
            moved: try self.moves(parts[3].elements))
    }

    /// Reads the reply to `join` or `held`: its list of moves has the workspaces whose home is another node.
    private static func heldDeliveries(_ reply: RESPValue, isRecovered: Bool) throws -> [Delivery] {
        let claim = try self.claim(reply, isRecovered: isRecovered)
        let elsewhere = Set(claim.moved.map(\.workspace))
        return claim.deliveries.map { delivery in
            var delivery = delivery
            delivery.isElsewhere = elsewhere.contains(delivery.workspace)
            return delivery
        }
    }

    /// Reads pairs of a workspace and a node.
    private static func moves(_ fields: [RESPValue]) throws -> [WorkspaceMove] {
        try stride(from: 0, to: fields.count, by: 2).map { index in
            guard index + 1 < fields.count, let workspace = WorkspaceID(ifValid: fields[index].string ?? ""),
                let origin = fields[index + 1].string
            else { throw self.unexpected("a claim") }
            return WorkspaceMove(workspace: workspace, origin: origin)
        }
    }

    /// Reads the suffix of a stream's name, such as `acme:s:2`.
    private static func stream(_ suffix: String) throws -> (WorkspaceID, Priority) {
        let names = suffix.split(separator: ":")
        guard names.count == 3, names[1] == "s", let priority = Int(names[2]).flatMap(Priority.init(rawValue:)) else {
            throw self.unexpected("a claim")
        }
        do throws(DomainError) {
            return (try WorkspaceID(String(names[0])), priority)
        } catch {
            throw JobQueueError(
                code: .failed, message: "Redis delivered an entry of an unusable stream", underlying: error)
        }
    }
}

extension EntryReference {
    fileprivate var streamSuffix: String { "\(self.workspace.name):s:\(self.priority.rawValue)" }
}

extension Delivery {
    /// The value of its entry: job ID and envelope.
    fileprivate var value: [UInt8] { (self.jobID?.uuid.bytes ?? []) + self.envelope }

    /// The same key as `lease_key` in the functions.
    fileprivate var leaseKey: [UInt8] {
        guard let job = self.jobID else { return Array("#\(self.entry.streamSuffix)|\(self.entry.id)".utf8) }
        return job.uuid.bytes
    }
}

extension Completion {
    /// The value for the function `finish` to store again, as a new entry, a delayed job or a dead letter; empty when the
    /// job needs none.
    fileprivate var valueToStore: [UInt8] {
        switch self.end {
        case .completed, .cancelled: []
        case .discarded, .unresolved, .released: self.delivery.value
        case .retry(let delay): Array("\(max(0, delay.milliseconds))|".utf8) + self.delivery.value
        }
    }
}
