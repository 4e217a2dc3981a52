import Domain

@testable import Jobs
@testable import JobsModel

/// What must hold whatever happens.
extension Ledger {
    var areAllSubmitted: Bool { self.isAnswered.count == self.indices.count }

    /// The accepted jobs that have not come to their end.
    func unfinished(_ queue: QueueMachine) -> [String] {
        self.accepted.compactMap { index, job in
            guard let state = queue.record(job, in: self.requests[index].workspace)?.state else {
                return "\(job) is lost"
            }
            return state.isFinal && state != .unresolved ? nil : "\(job) of request \(index) is \(state)"
        }
    }

    /// What holds at any moment.
    func check(_ queue: QueueMachine) throws {
        func violation(_ text: String) -> Simulation.Violation { Simulation.Violation(description: text) }
        var places: [JobID: Int] = [:]
        var held: [EntryReference: Int] = [:]
        var active: [WorkspaceID: Int] = [:]
        for node in queue.nodes.values {
            for reference in node.held.values {
                held[reference, default: 0] += 1
                active[reference.workspace, default: 0] += 1
            }
        }
        var unread = 0
        for (name, stream) in queue.streams {
            unread += stream.unread.count
            for entry in stream.unread {
                if let job = entry.job { places[job, default: 0] += 1 }
            }
            for entry in stream.pending.values {
                if let job = entry.job { places[job, default: 0] += 1 }
                let reference = EntryReference(workspace: name.workspace, priority: name.priority, id: entry.id)
                guard held[reference] == 1 else {
                    throw violation("the entry \(reference) is held by \(held[reference] ?? 0) nodes")
                }
            }
        }
        for delayed in queue.due { places[delayed.job, default: 0] += 1 }
        for (index, job) in self.accepted {
            let state = queue.record(job, in: self.requests[index].workspace)?.state
            let count = places[job] ?? 0
            // A cancelled job's entry is dropped when its turn comes.
            let isRight = state?.isFinal == true ? count == 0 || count == 1 && queue.cancels[job] != nil : count == 1
            guard isRight else {
                throw violation("\(job) of request \(index), \(state.map { "\($0)" } ?? "lost"), is in \(count) places")
            }
        }
        guard active == queue.active else { throw violation("running \(active), counted \(queue.active)") }
        guard unread == queue.depth else { throw violation("\(unread) entries wait, counted \(queue.depth)") }
        for (workspace, limits) in self.limits {
            if let most = limits.concurrency, active[workspace] ?? 0 > most {
                throw violation("\(active[workspace] ?? 0) jobs of '\(workspace)' run at once")
            }
            try self.checkRate(workspace, limits)
        }
        for workspace in queue.levels.keys {
            guard queue.readyQueue.contains(workspace) || queue.parked[workspace] != nil else {
                throw violation("'\(workspace)' has work but is not in line")
            }
        }
        let keys = self.accepted.compactMap { index, job -> String? in
            let request = self.requests[index]
            guard let key = request.uniqueKey, let state = queue.record(job, in: request.workspace)?.state,
                !state.isFinal || state == .unresolved
            else { return nil }
            return "\(request.workspace) \(key)"
        }
        guard Set(keys).count == keys.count else { throw violation("two jobs of one unique key have not ended") }
    }

    /// No window of one period has more starts than a full bucket and what flowed in meanwhile.
    private func checkRate(_ workspace: WorkspaceID, _ limits: WorkspaceLimits) throws {
        guard let rate = limits.rate, let times = self.starts[workspace] else { return }
        let period = UInt64(rate.period.milliseconds)
        for (first, start) in times.enumerated() where first + 2 * rate.count < times.count {
            if times[first + 2 * rate.count] - start < period {
                throw Simulation.Violation(description: "'\(workspace)' starts faster than its rate")
            }
        }
    }

    /// What holds when everything has come to its end.
    func checkEnd(_ queue: QueueMachine) throws {
        for (index, job) in self.accepted {
            guard self.hasLost || self.outcomes[job] == 1 && self.submissions[job] == 1 else {
                throw Simulation.Violation(
                    description: "\(job) of request \(index) has \(self.outcomes[job] ?? 0) outcomes and "
                        + "\(self.submissions[job] ?? 0) submissions in the audit trail")
            }
            if queue.record(job, in: self.requests[index].workspace)?.state == .completed,
                self.effects[job, default: 0] == 0
            {
                throw Simulation.Violation(description: "\(job) is completed but never took effect")
            }
        }
        // Only records, dead letters and the marks of cancelled entries are left.
        guard queue.active.isEmpty, queue.progress.isEmpty, queue.tries.isEmpty, queue.cancelling.isEmpty,
            queue.nodes.values.allSatisfy({ $0.held.isEmpty }), queue.credit.isEmpty || !queue.readyQueue.isEmpty
        else {
            throw Simulation.Violation(description: "ended jobs left something behind")
        }
    }
}
