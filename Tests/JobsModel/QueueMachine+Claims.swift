internal import Domain
@testable package import Jobs

/// Claims.
extension QueueMachine {
    /// The state of a claim.
    private struct ClaimInProgress {
        let node: String
        let now: UInt64
        let request: ClaimRequest
        var held: [WorkspaceID: Int]
        /// True when the node may serve one workspace only.
        var isOnlyWorkspace = false
        var deliveries: [Delivery] = []
        var dropped = 0
        var refused = 0
        /// Entries read, delivered or not.
        var read = 0
        var active: [WorkspaceID: Int] = [:]
        var moved: [WorkspaceMove] = []

        var isFull: Bool { self.deliveries.count >= self.request.most }
    }

    /// Claims entries; see `JobQueue.claim`.
    package mutating func claim(
        _ request: ClaimRequest, as node: NodeIdentity, at now: UInt64
    ) throws(JobQueueError) -> Claim {
        try self.check(node)
        guard self.nodes[node.node.name]?.fence ?? 0 <= request.number else {
            throw JobQueueError(code: .unavailable, message: "the claim arrived after the node had abandoned it")
        }
        var claim = ClaimInProgress(node: node.node.name, now: now, request: request, held: request.held)
        self.unparkDue(at: now)
        claim.isOnlyWorkspace = self.line(for: claim.node).count == 1
        // Round by round, until the node is full or a whole round delivered nothing.
        var before: Int
        repeat {
            before = claim.read
            var kept = 0
            var seen: Set<WorkspaceID> = []
            while !claim.isFull {
                let line = self.line(for: claim.node)
                guard kept < line.count, seen.insert(line[kept]).inserted else { break }
                if self.serve(line[kept], &claim) { kept += 1 }
            }
        } while !claim.isFull && claim.read != before
        self.depth -= claim.read
        self.countActive(claim.active)
        return Claim(
            deliveries: claim.deliveries, dropped: claim.dropped, refused: claim.refused,
            hasMore: !self.line(for: claim.node).isEmpty, moved: claim.moved)
    }

    /// The turn of one workspace, by deficit round robin. A turn is worth the weight times the quantum. When this node has no
    /// free slot left, the rest of the turn is kept as credit for the next claim. Returns true when the workspace keeps its
    /// place in the ready queue.
    private mutating func serve(_ workspace: WorkspaceID, _ claim: inout ClaimInProgress) -> Bool {
        guard self.quarantines[workspace] == nil else { return self.park(workspace, until: Self.noEnd) }
        let limits = self.workspaceLimits[workspace]
        let request = claim.request
        let credit = self.credit[workspace]
        var budget = credit ?? request.quantum * (limits?.weight ?? 1)
        if claim.isOnlyWorkspace { budget = request.most }
        var want = min(
            request.most - claim.deliveries.count, budget, request.share - (claim.held[workspace] ?? 0))
        guard want > 0 else { return true }
        if let concurrency = limits?.concurrency {
            let free = concurrency - (self.active[workspace] ?? 0) - (claim.active[workspace] ?? 0)
            guard free > 0 else { return self.park(workspace, until: Self.noEnd) }
            want = min(want, free)
        }
        var spare: UInt64 = 0
        let rate = limits?.rate
        if let rate {
            let period = UInt64(clamping: rate.period.milliseconds)
            spare = self.rateCredit(workspace, rate, at: claim.now)
            guard spare >= period else {
                let count = UInt64(rate.count)
                return self.park(workspace, until: claim.now + (period - spare + count - 1) / count)
            }
            want = min(want, Int(spare / period))
        }

        if let move = self.adopt(workspace, by: claim.node, at: claim.now) { claim.moved.append(move) }
        let before = claim.deliveries.count
        let rest = self.read(workspace, want, &claim)
        let taken = claim.deliveries.count - before
        claim.held[workspace, default: 0] += taken
        if let rate {
            let cost = UInt64(taken) * UInt64(clamping: rate.period.milliseconds)
            self.rates[workspace] = RateCredit(credit: spare - cost, at: claim.now)
        }
        guard !rest.isEmpty else {
            self.levels[workspace] = nil
            self.readyQueue.removeAll { $0 == workspace }
            self.credit[workspace] = nil
            self.passed[workspace] = nil
            return false
        }
        self.levels[workspace] = rest
        if !claim.isOnlyWorkspace, taken < budget, claim.isFull || claim.held[workspace, default: 0] >= request.share {
            self.credit[workspace] = budget - taken
            return true
        }
        self.credit[workspace] = nil
        self.readyQueue.removeAll { $0 == workspace }
        self.readyQueue.append(workspace)
        return false
    }

    /// Delivers up to `want` entries, the most urgent level first. Returns the levels that may have more.
    private mutating func read(
        _ workspace: WorkspaceID, _ want: Int, _ claim: inout ClaimInProgress
    ) -> Set<Priority> {
        let levels = (self.levels[workspace] ?? []).sorted()
        var rest: [Priority: Bool] = [:]
        var served = 0
        // After eight turns in which a level was passed over, each lower level gets one job first, so that none starves.
        if levels.count > 1, self.passed[workspace] ?? 0 >= 8 {
            for level in levels.dropFirst() where served < want {
                let count = self.take(StreamName(workspace: workspace, priority: level), 1, &claim)
                served += count
                rest[level] = count == 1
            }
            self.passed[workspace] = nil
        }
        var wasPassed = false
        for level in levels {
            if served < want, rest[level] != false {
                let missing = want - served
                let count = self.take(StreamName(workspace: workspace, priority: level), missing, &claim)
                served += count
                rest[level] = count == missing
            } else if rest[level] == nil {
                rest[level] = true
                wasPassed = true
            }
        }
        if wasPassed { self.passed[workspace, default: 0] += 1 }
        return Set(rest.filter(\.value).keys)
    }

    /// Reads entries of one stream and delivers those of live jobs. Returns how many it read.
    private mutating func take(_ stream: StreamName, _ count: Int, _ claim: inout ClaimInProgress) -> Int {
        guard let all = self.streams[stream]?.unread else { return 0 }
        let entries = all.prefix(count)
        self.streams[stream]?.unread.removeFirst(entries.count)
        claim.read += entries.count
        for entry in entries {
            self.streams[stream]?.pending[entry.id] = entry
            guard !self.dropIfCancelled(entry, of: stream, at: claim.now) else {
                claim.dropped += 1
                continue
            }
            let isHeld = entry.job.map { job in self.nodes.values.contains { $0.held[.job(job)] != nil } } ?? false
            guard !isHeld, !self.hasEnded(entry.job, in: stream.workspace),
                !self.isExpired(entry.job, in: stream.workspace, at: claim.now)
            else {
                self.dropEntry(stream, entry.id)
                self.refusedEntries += 1
                claim.refused += 1
                continue
            }
            let reference = EntryReference(
                workspace: stream.workspace, priority: stream.priority, id: entry.id)
            self.nodes[claim.node]?.held[Self.leaseKey(entry, reference)] = reference
            claim.active[stream.workspace, default: 0] += 1
            claim.deliveries.append(self.delivery(entry, reference, isRecovered: false))
        }
        return entries.count
    }

    static func leaseKey(_ entry: Entry, _ reference: EntryReference) -> LeaseKey {
        entry.job.map { .job($0) } ?? .entry(reference)
    }

    func delivery(_ entry: Entry, _ reference: EntryReference, isRecovered: Bool) -> Delivery {
        let tries = entry.job.flatMap { self.tries[$0] } ?? Tries()
        return Delivery(
            workspace: reference.workspace, jobID: entry.job, entry: reference, envelope: entry.envelope,
            crashes: tries.crashes, failures: tries.failures, isRecovered: isRecovered)
    }

    /// Removes the entry of a cancelled job. A job that its node did not cancel in time ends here. Returns false when the job
    /// is not cancelled.
    mutating func dropIfCancelled(_ entry: Entry, of stream: StreamName, at now: UInt64) -> Bool {
        guard let job = entry.job, let event = self.cancels[job] else { return false }
        self.dropEntry(stream, entry.id)
        if !event.isEmpty {
            if var record = self.record(job, in: stream.workspace) {
                record.state = .cancelled
                record.ended = now
                record.reason = Self.cancelledByUser
                self.setRecord(job, in: stream.workspace, record, at: now)
            }
            self.auditRows.append((stream.workspace, event))
        }
        self.removeSideRecords(of: job, endedAs: .cancelled)
        return true
    }

    static let cancelledByUser = "cancelled: user"

    /// Removes a workspace from the ready queue until a time. Returns false, as `serve` does then.
    private mutating func park(_ workspace: WorkspaceID, until time: UInt64) -> Bool {
        self.readyQueue.removeAll { $0 == workspace }
        self.credit[workspace] = nil
        self.parked[workspace] = time
        return false
    }

    private func rateCredit(_ workspace: WorkspaceID, _ rate: WorkspaceLimits.Rate, at now: UInt64) -> UInt64 {
        let (count, period) = (UInt64(rate.count), UInt64(clamping: rate.period.milliseconds))
        guard let kept = self.rates[workspace] else { return period * count }
        return min(period * count, kept.credit + (now - min(now, kept.at)) * count)
    }
}
