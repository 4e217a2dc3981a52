import Domain

@testable import Worker

/// The rule that no slot stays free while a lane waits for one, or has work for it.
struct IdleSlots {
    private struct Wait {
        var start: UInt64
        let isRefused: Bool
    }

    /// Since when a lane of a node could have had a free slot and did not get it.
    private var waits: [Simulation.Caller: Wait] = [:]
    private var nextCheck: UInt64 = 0

    /// Milliseconds. A lane whose bell is lost looks for work every two seconds by itself.
    private static let limit: UInt64 = 2300
    /// A lane that was refused a slot is woken as soon as one is free for it.
    private static let refusedLimit: UInt64 = 500
    private static let interval: UInt64 = 100

    /// Throws when a slot was free at every check for longer than the limit while the same lane waited for one or had
    /// work for it: a lane that has joined and waits for no answer, of a node that runs, is not draining, and may claim.
    mutating func check(_ simulation: Simulation) throws {
        let now = simulation.now
        guard now >= self.nextCheck else { return }
        self.nextCheck = now + Self.interval
        for node in simulation.nodes {
            for lane in node.lanes {
                guard node.canClaim, lane.canClaim, lane.isRefused || self.hasWork(lane, of: node, in: simulation)
                else {
                    self.waits[lane.caller] = nil
                    continue
                }
                var wait = Wait(start: now, isRefused: lane.isRefused)
                if let earlier = self.waits[lane.caller], earlier.isRefused == lane.isRefused {
                    // What a claim left behind came after it.
                    wait.start = max(earlier.start, lane.claimedAt)
                }
                self.waits[lane.caller] = wait
                guard now - wait.start <= (lane.isRefused ? Self.refusedLimit : Self.limit) else {
                    throw Simulation.Violation(
                        description: "n\(node.index) has \(node.holdings.free) free slots while lane \(lane.number) "
                            + "\(lane.isRefused ? "waits for one" : "has work") for \(now - wait.start) ms")
                }
            }
        }
    }

    private func hasWork(_ lane: SimulatedLane, of node: SimulatedNode, in simulation: Simulation) -> Bool {
        let queue = simulation.queues[lane.number]
        guard queue.stalledUntil <= simulation.now else { return false }
        return queue.hasWork(
            for: node.identity(life: node.life), holding: node.holdings.countsByWorkspace, share: Simulation.share,
            at: simulation.time(of: queue))
    }
}
