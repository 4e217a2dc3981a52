package import Domain
@testable package import Jobs

/// Leases of nodes, and due jobs.
extension QueueMachine {
    /// Throws unless this incarnation holds the node's name.
    func check(_ node: NodeIdentity) throws(JobQueueError) {
        guard let current = self.nodes[node.node.name] else {
            throw JobQueueError(
                code: .unknownNode, message: "the node is not registered in this queue; it must join again")
        }
        guard current.incarnation == node.incarnation else {
            throw JobQueueError(code: .replaced, message: "a newer process of this node has replaced this one")
        }
    }

    func isCurrent(_ node: NodeIdentity) -> Bool {
        self.nodes[node.node.name]?.incarnation == node.incarnation
    }

    /// Registers an incarnation of a node; see `JobQueue.join`.
    package mutating func join(as node: NodeIdentity, at now: UInt64) throws(JobQueueError) -> [Delivery] {
        let name = node.node.name
        if let current = self.nodes[name], current.owner != node.owner, current.expiry > now {
            throw JobQueueError(code: .nameTaken, message: "another machine runs a node with this name")
        }
        if let current = self.nodes[name], current.incarnation.value > node.incarnation.value, current.expiry > now {
            throw JobQueueError(code: .replaced, message: "a newer process of this node has replaced this one")
        }
        // A join that is repeated after a lost reply does not count another crash.
        let countsCrash = self.nodes[name]?.incarnation != node.incarnation
        let held = self.nodes[name]?.held ?? [:]
        self.away[name] = nil
        self.agreeOnFiles()
        let fence = countsCrash ? 0 : self.nodes[name]?.fence ?? 0
        self.nodes[name] = Node(
            incarnation: node.incarnation, owner: node.owner, expiry: now + self.leaseTime, held: held, fence: fence)
        return self.redeliver(name, countsCrash: countsCrash, dropsCancelled: true, at: now, isRecovered: true)
    }

    /// How long a lease lasts, in milliseconds.
    private var leaseTime: UInt64 { UInt64(clamping: self.limits.lease.milliseconds) }

    /// Returns what this incarnation holds; see `JobQueue.held`.
    package mutating func held(
        by node: NodeIdentity, fence: UInt64, at now: UInt64
    ) throws(JobQueueError) -> [Delivery] {
        try self.check(node)
        if fence > 0 { self.nodes[node.node.name]?.fence = fence }
        // A job that was cancelled meanwhile stays held; its node is notified by the next `renew`.
        return self.redeliver(
            node.node.name, countsCrash: false, dropsCancelled: false, at: now, isRecovered: false)
    }

    /// Delivers what a node holds again, under its leases. Leases of entries that no longer exist are removed.
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
            // When a node joins, the entries of a quarantined workspace are requeued.
            if isRecovered, self.quarantines[reference.workspace] != nil {
                self.nodes[name]?.held[key] = nil
                active[reference.workspace, default: 0] -= 1
                self.dropEntry(stream, entry.id)
                self.addEntry(stream, job: entry.job, envelope: entry.envelope, at: now)
                self.markReady(stream)
                continue
            }
            var delivery = self.delivery(entry, reference, isRecovered: isRecovered)
            delivery.isElsewhere = self.home(of: reference.workspace) ?? name != name
            deliveries.append(delivery)
        }
        self.countActive(active)
        return deliveries
    }

    /// Renews a lease; see `JobQueue.renew`.
    package mutating func renew(as node: NodeIdentity, at now: UInt64) throws(JobQueueError) -> Renewal {
        try self.check(node)
        let expiry = now + self.leaseTime
        self.nodes[node.node.name]?.expiry = expiry
        let held = self.nodes[node.node.name]?.held ?? [:]
        let dead = self.nodes.filter { $0.value.expiry < now }
            .sorted { ($0.value.expiry, $0.key) < ($1.value.expiry, $1.key) }
        return Renewal(
            dead: dead.prefix(16).map(\.key), cancelled: self.cancelling.filter { held[.job($0)] != nil },
            held: held.count)
    }

    /// Requeues what a dead node held; see `JobQueue.rescue`.
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
        if node.held.count <= most {
            self.nodes[dead] = nil
            self.noteAway(dead, since: node.expiry)
        }
        return moved
    }

    /// Removes a node that holds nothing; see `JobQueue.leave`.
    package mutating func leave(as node: NodeIdentity, at now: UInt64) {
        guard self.isCurrent(node), self.nodes[node.node.name]?.held.isEmpty == true else { return }
        self.nodes[node.node.name] = nil
        self.noteAway(node.node.name, since: now)
    }

    /// Corrects stored times after the clock went back; otherwise leases and waits for rates would last too long.
    private mutating func setClockBack(to now: UInt64) {
        let latest = now + self.leaseTime
        for (name, node) in self.nodes where node.expiry > latest { self.nodes[name]?.expiry = latest }
        for (name, time) in self.away where time > now { self.away[name] = now }
        self.rates = [:]
        let waiting = self.parked.filter { $0.value < Self.noEnd }
        for (workspace, _) in waiting.sorted(by: { ($0.value, $0.key.name) < ($1.value, $1.key.name) }) {
            self.unpark(workspace)
        }
    }

    /// Makes due jobs available; see `JobQueue.moveDue`.
    package mutating func moveDue(most: Int, at now: UInt64) -> Int {
        // Up to a second back is a normal correction of a clock.
        if now + 1000 < self.clock { self.setClockBack(to: now) }
        self.clock = now
        self.unparkDue(at: now)
        self.releaseHomes(at: now)
        if now < self.keptAt || now - self.keptAt >= Self.keepMilliseconds {
            if self.unkeptBefore(at: now) == now { (self.unkept, self.hasUnkeptDue) = (now, true) }
            self.keptAt = now
            self.keepRecords(at: now)
        }
        self.due.sort { $0.order < $1.order }
        let due = self.due.prefix { $0.time <= now }.prefix(most)
        self.due.removeFirst(due.count)
        for delayed in due { self.moveDue(delayed, at: now) }
        if due.count < most { self.hasUnkeptDue = false }
        return due.count
    }

    /// Makes a due job available. Another writer may have added it, so only one that is delayed gets an entry.
    private mutating func moveDue(_ delayed: Delayed, at now: UInt64) {
        var record = self.record(delayed.job, in: delayed.stream.workspace)
        switch record?.state {
        case .scheduled, .retryable: record?.state = .available
        case nil where self.hasUnkeptDue && delayed.job.milliseconds < self.unkept: break
        case .cancelled where self.cancels[delayed.job] == []:
            self.cancels[delayed.job] = nil
            return
        default:
            self.refusedEntries += 1
            return
        }
        if let record { self.setRecord(delayed.job, in: delayed.stream.workspace, record, at: now) }
        self.addEntry(delayed.stream, job: delayed.job, envelope: delayed.envelope, at: now)
        self.markReady(delayed.stream)
    }
}

extension EntryReference {
    /// The order in which leases are delivered again: by stream, older entries first.
    fileprivate var order: (String, Int, EntryID) { (self.workspace.name, self.priority.rawValue, self.id) }
}

extension QueueMachine.Delayed {
    /// By time, then as Redis orders the members of a sorted set.
    fileprivate var order: (UInt64, String, Int, UInt64, UInt64) {
        (self.time, self.stream.workspace.name, self.stream.priority.rawValue, self.job.uuid.high, self.job.uuid.low)
    }
}
