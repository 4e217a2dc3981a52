package import Domain
@testable package import Jobs

/// To the nodes: claims, leases, take-overs, what is due.
extension QueueMachine {
    /// Throws unless this incarnation holds the node's name.
    private func check(_ node: NodeIdentity) throws(JobQueueError) {
        guard let current = self.nodes[node.node.name] else {
            throw JobQueueError(code: .unknownNode, message: "this queue does not know the node")
        }
        guard current.incarnation == node.incarnation else {
            throw JobQueueError(code: .replaced, message: "a newer process of this node took over")
        }
    }

    func isCurrent(_ node: NodeIdentity) -> Bool {
        self.nodes[node.node.name]?.incarnation == node.incarnation
    }

    // MARK: - Claims

    /// A claim under way.
    private struct Handing {
        let node: String
        let now: UInt64
        let request: ClaimRequest
        var held: [WorkspaceID: Int]
        var isAlone = false
        var deliveries: [Delivery] = []
        var dropped = 0
        var refused = 0
        var read = 0
        var active: [WorkspaceID: Int] = [:]

        var isFull: Bool { self.deliveries.count >= self.request.most }
    }

    package mutating func claim(
        _ request: ClaimRequest, as node: NodeIdentity, at now: UInt64
    ) throws(JobQueueError) -> Claim {
        try self.check(node)
        guard self.nodes[node.node.name]?.fence ?? 0 <= request.number else {
            throw JobQueueError(code: .unavailable, message: "the claim came after it had been given up")
        }
        var handing = Handing(node: node.node.name, now: now, request: request, held: request.held)
        self.unparkDue(at: now)
        handing.isAlone = self.line.count == 1
        // Round by round, until there is no room or a whole round brought nothing.
        var before: Int
        repeat {
            before = handing.read
            var kept = 0
            var seen: Set<WorkspaceID> = []
            while !handing.isFull, kept < self.line.count, seen.insert(self.line[kept]).inserted {
                if self.serve(self.line[kept], &handing) { kept += 1 }
            }
        } while !handing.isFull && handing.read != before
        self.depth -= handing.read
        self.countActive(handing.active)
        return Claim(deliveries: handing.deliveries, dropped: handing.dropped, refused: handing.refused, hasMore: !self.line.isEmpty)
    }

    /// A workspace's turn: deficit round robin. Each turn is worth its weight times the quantum; what a node without
    /// free slots leaves of it the next claim goes on with. Answers whether the workspace kept its place.
    private mutating func serve(_ workspace: WorkspaceID, _ handing: inout Handing) -> Bool {
        guard self.quarantines[workspace] == nil else { return self.park(workspace, until: Self.forever) }
        let limits = self.workspaceLimits[workspace]
        let request = handing.request
        let credit = self.credit[workspace]
        var budget = credit ?? request.quantum * (limits?.weight ?? 1)
        if handing.isAlone { budget = request.most }
        var want = min(
            request.most - handing.deliveries.count, budget, request.share - (handing.held[workspace] ?? 0))
        guard want > 0 else { return true }
        if let concurrency = limits?.concurrency {
            let room = concurrency - (self.active[workspace] ?? 0) - (handing.active[workspace] ?? 0)
            guard room > 0 else { return self.park(workspace, until: Self.forever) }
            want = min(want, room)
        }
        var spare: UInt64 = 0
        let rate = limits?.rate
        if let rate {
            let period = UInt64(clamping: rate.period.milliseconds)
            spare = self.rateCredit(workspace, rate, at: handing.now)
            guard spare >= period else {
                let count = UInt64(rate.count)
                return self.park(workspace, until: handing.now + (period - spare + count - 1) / count)
            }
            want = min(want, Int(spare / period))
        }

        let before = handing.deliveries.count
        let rest = self.read(workspace, want, &handing)
        let taken = handing.deliveries.count - before
        handing.held[workspace, default: 0] += taken
        if let rate {
            let cost = UInt64(taken) * UInt64(clamping: rate.period.milliseconds)
            self.rates[workspace] = RateCredit(credit: spare - cost, at: handing.now)
        }
        guard !rest.isEmpty else {
            self.levels[workspace] = nil
            self.line.removeAll { $0 == workspace }
            self.credit[workspace] = nil
            self.passed[workspace] = nil
            return false
        }
        self.levels[workspace] = rest
        if !handing.isAlone, taken < budget, handing.isFull || handing.held[workspace, default: 0] >= request.share {
            self.credit[workspace] = budget - taken
            return true
        }
        self.credit[workspace] = nil
        self.line.removeAll { $0 == workspace }
        self.line.append(workspace)
        return false
    }

    /// Takes up to `want` entries, the most urgent level first; the levels that may have more.
    private mutating func read(
        _ workspace: WorkspaceID, _ want: Int, _ handing: inout Handing
    ) -> Set<Priority> {
        let levels = (self.levels[workspace] ?? []).sorted()
        var rest: [Priority: Bool] = [:]
        var served = 0
        // One that was passed over in eight turns gets one job first, so that none is forgotten.
        if levels.count > 1, self.passed[workspace] ?? 0 >= 8 {
            for level in levels.dropFirst() where served < want {
                let count = self.take(StreamName(workspace: workspace, priority: level), 1, &handing)
                served += count
                rest[level] = count == 1
            }
            self.passed[workspace] = nil
        }
        var wasPassed = false
        for level in levels {
            if served < want, rest[level] != false {
                let asked = want - served
                let count = self.take(StreamName(workspace: workspace, priority: level), asked, &handing)
                served += count
                rest[level] = count == asked
            } else if rest[level] == nil {
                rest[level] = true
                wasPassed = true
            }
        }
        if wasPassed { self.passed[workspace, default: 0] += 1 }
        return Set(rest.filter(\.value).keys)
    }

    private mutating func take(_ stream: StreamName, _ count: Int, _ handing: inout Handing) -> Int {
        guard let all = self.streams[stream]?.unread else { return 0 }
        let entries = all.prefix(count)
        self.streams[stream]?.unread.removeFirst(entries.count)
        handing.read += entries.count
        for entry in entries {
            self.streams[stream]?.pending[entry.id] = entry
            guard !self.dropIfCancelled(entry, of: stream, at: handing.now) else {
                handing.dropped += 1
                continue
            }
            guard !self.hasEnded(entry.job, in: stream.workspace) else {
                self.dropEntry(stream, entry.id)
                self.refusedEntries += 1
                handing.refused += 1
                continue
            }
            let reference = EntryReference(
                workspace: stream.workspace, priority: stream.priority, id: entry.id,
                isRepeated: entry.job.map { self.nodes[handing.node]?.held[.job($0)] != nil } ?? false)
            self.nodes[handing.node]?.held[Self.leaseKey(entry, reference)] = reference
            handing.active[stream.workspace, default: 0] += 1
            handing.deliveries.append(self.delivery(entry, reference, isRecovered: false))
        }
        return entries.count
    }

    static func leaseKey(_ entry: Entry, _ reference: EntryReference) -> LeaseKey {
        guard let job = entry.job else { return .entry(reference) }
        return reference.isRepeated ? .repeated(job, entry.id) : .job(job)
    }

    private func delivery(_ entry: Entry, _ reference: EntryReference, isRecovered: Bool) -> Delivery {
        let tries = entry.job.flatMap { self.tries[$0] } ?? Tries()
        return Delivery(
            workspace: reference.workspace, jobID: entry.job, entry: reference, envelope: entry.envelope,
            crashes: tries.crashes, failures: tries.failures, isRecovered: isRecovered)
    }

    /// Lets go of the entry of a job that was cancelled; one whose cancellation could not be told to its node in time
    /// ends here.
    private mutating func dropIfCancelled(_ entry: Entry, of stream: StreamName, at now: UInt64) -> Bool {
        guard let job = entry.job, let event = self.cancels[job] else { return false }
        self.dropEntry(stream, entry.id)
        if !event.isEmpty {
            if var record = self.record(job, in: stream.workspace) {
                record.state = .cancelled
                record.ended = now
                record.reason = Self.cancelledByUser
                self.setRecord(job, in: stream.workspace, record, at: now)
            }
            self.audit.append(event)
        }
        self.ended(job, .cancelled)
        return true
    }

    static let cancelledByUser = "cancelled: user"

    private mutating func park(_ workspace: WorkspaceID, until time: UInt64) -> Bool {
        self.line.removeAll { $0 == workspace }
        self.credit[workspace] = nil
        self.parked[workspace] = time
        return false
    }

    private func rateCredit(_ workspace: WorkspaceID, _ rate: WorkspaceLimits.Rate, at now: UInt64) -> UInt64 {
        let (count, period) = (UInt64(rate.count), UInt64(clamping: rate.period.milliseconds))
        guard let kept = self.rates[workspace] else { return period * count }
        return min(period * count, kept.credit + (now - min(now, kept.at)) * count)
    }

    // MARK: - Leases

    package mutating func join(as node: NodeIdentity, at now: UInt64) throws(JobQueueError) -> [Delivery] {
        let name = node.node.name
        if let current = self.nodes[name], current.owner != node.owner, current.expiry > now {
            throw JobQueueError(code: .nameTaken, message: "another machine runs a node of this name")
        }
        if let current = self.nodes[name], current.incarnation.value > node.incarnation.value, current.expiry > now {
            throw JobQueueError(code: .replaced, message: "a newer process of this node took over")
        }
        // A join that is sent again, because its answer was lost, is no second death.
        let countsCrash = self.nodes[name]?.incarnation != node.incarnation
        let held = self.nodes[name]?.held ?? [:]
        let fence = countsCrash ? 0 : self.nodes[name]?.fence ?? 0
        self.nodes[name] = Node(
            incarnation: node.incarnation, owner: node.owner, expiry: now + self.term, held: held, fence: fence)
        return self.redeliver(name, countsCrash: countsCrash, dropsCancelled: true, at: now, isRecovered: true)
    }

    private var term: UInt64 { UInt64(clamping: self.limits.lease.milliseconds) }

    package mutating func held(
        by node: NodeIdentity, fence: UInt64, at now: UInt64
    ) throws(JobQueueError) -> [Delivery] {
        try self.check(node)
        if fence > 0 { self.nodes[node.node.name]?.fence = fence }
        // What was cancelled meanwhile its node is told; it stays held until then.
        return self.redeliver(
            node.node.name, countsCrash: false, dropsCancelled: false, at: now, isRecovered: false)
    }

    private mutating func redeliver(
        _ name: String, countsCrash: Bool, dropsCancelled: Bool, at now: UInt64, isRecovered: Bool
    ) -> [Delivery] {
        var deliveries: [Delivery] = []
        var active: [WorkspaceID: Int] = [:]
        for (key, reference) in self.nodes[name]?.held.sorted(by: { $0.value.order < $1.value.order }) ?? [] {
            let stream = StreamName(workspace: reference.workspace, priority: reference.priority)
            guard let entry = self.streams[stream]?.pending[reference.id],
                !(dropsCancelled && self.dropIfCancelled(entry, of: stream, at: now))
            else {
                self.nodes[name]?.held[key] = nil
                active[reference.workspace, default: 0] -= 1
                continue
            }
            if countsCrash, let job = entry.job { self.tries[job, default: Tries()].crashes += 1 }
            // For a node that joins, what a quarantined workspace has goes back in line.
            if isRecovered, self.quarantines[reference.workspace] != nil {
                self.nodes[name]?.held[key] = nil
                active[reference.workspace, default: 0] -= 1
                self.dropEntry(stream, entry.id)
                self.addEntry(stream, job: entry.job, envelope: entry.envelope, at: now)
                self.markReady(stream)
                continue
            }
            deliveries.append(self.delivery(entry, reference, isRecovered: isRecovered))
        }
        self.countActive(active)
        return deliveries
    }

    package mutating func renew(as node: NodeIdentity, at now: UInt64) throws(JobQueueError) -> Renewal {
        try self.check(node)
        let expiry = now + self.term
        self.nodes[node.node.name]?.expiry = expiry
        let held = self.nodes[node.node.name]?.held ?? [:]
        let dead = self.nodes.filter { $0.value.expiry < now }
            .sorted { ($0.value.expiry, $0.key) < ($1.value.expiry, $1.key) }
        return Renewal(
            dead: dead.prefix(16).map(\.key), cancelled: self.cancelling.filter { held[.job($0)] != nil },
            held: held.count)
    }

    package mutating func rescue(_ dead: String, most: Int, at now: UInt64) -> Int {
        guard let node = self.nodes[dead], node.expiry <= now else { return 0 }
        var moved = 0
        var active: [WorkspaceID: Int] = [:]
        for (key, reference) in node.held.sorted(by: { $0.value.order < $1.value.order }).prefix(most) {
            self.nodes[dead]?.held[key] = nil
            active[reference.workspace, default: 0] -= 1
            let stream = StreamName(workspace: reference.workspace, priority: reference.priority)
            guard let entry = self.streams[stream]?.pending[reference.id] else { continue }
            self.dropEntry(stream, entry.id)
            self.addEntry(stream, job: entry.job, envelope: entry.envelope, at: now)
            if let job = entry.job { self.tries[job, default: Tries()].crashes += 1 }
            self.markReady(stream)
            moved += 1
        }
        self.countActive(active)
        if node.held.count <= most { self.nodes[dead] = nil }
        return moved
    }

    package mutating func leave(as node: NodeIdentity) {
        guard self.isCurrent(node), self.nodes[node.node.name]?.held.isEmpty == true else { return }
        self.nodes[node.node.name] = nil
    }

    /// The clock stands earlier than it did. What was noted by the old one would last too long.
    private mutating func setClockBack(to now: UInt64) {
        let latest = now + self.term
        for (name, node) in self.nodes where node.expiry > latest { self.nodes[name]?.expiry = latest }
        self.rates = [:]
        let waiting = self.parked.filter { $0.value < Self.forever }
        for (workspace, _) in waiting.sorted(by: { ($0.value, $0.key.name) < ($1.value, $1.key.name) }) {
            self.unpark(workspace)
        }
    }

    package mutating func moveDue(most: Int, at now: UInt64) -> Int {
        // A little back is what every clock does that is kept right.
        if now + 1000 < self.clock { self.setClockBack(to: now) }
        self.clock = now
        self.unparkDue(at: now)
        if now < self.keptAt || now - self.keptAt >= Self.keepMilliseconds {
            self.keptAt = now
            self.keepRecords(at: now)
        }
        let due = self.due.filter { $0.time <= now }.sorted { $0.order < $1.order }.prefix(most)
        for delayed in due {
            self.addEntry(delayed.stream, job: delayed.job, envelope: delayed.envelope, at: now)
            if var record = self.record(delayed.job, in: delayed.stream.workspace),
                record.state == .scheduled || record.state == .retryable
            {
                record.state = .available
                self.setRecord(delayed.job, in: delayed.stream.workspace, record, at: now)
            }
            self.markReady(delayed.stream)
        }
        let moved = Set(due.map(\.job))
        self.due.removeAll { $0.time <= now && moved.contains($0.job) }
        return due.count
    }
}

extension EntryReference {
    /// The order of leases in a take-over: by stream, the older entries first.
    fileprivate var order: (String, Int, EntryID) { (self.workspace.name, self.priority.rawValue, self.id) }
}

extension QueueMachine.Delayed {
    /// By time; those of one moment as Redis orders them.
    fileprivate var order: (UInt64, String, Int, UInt64, UInt64) {
        (self.time, self.stream.workspace.name, self.stream.priority.rawValue, self.job.uuid.high, self.job.uuid.low)
    }
}
