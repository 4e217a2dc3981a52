import Domain
import JobsModel
import Testing

@testable import Jobs

@Suite("QueueMachine, turns and limits")
struct QueueFairnessTests {
    private func world(_ jobs: [(String, Int)]) throws -> QueueWorld {
        let world = QueueWorld()
        try world.join()
        for (workspace, count) in jobs { for _ in 0..<count { try world.accept(workspace) } }
        return world
    }

    @Test("the jobs of a workspace are delivered in the order of their submission")
    func order() throws {
        let world = QueueWorld()
        try world.join()
        let jobs = try (0..<5).map { _ in try world.accept() }
        #expect(try world.claim().deliveries.map(\.jobID) == jobs)
    }

    @Test("a claim brings no more than it asked for")
    func most() throws {
        let world = try self.world([("acme", 5)])
        let claim = try world.claim(3)
        #expect(claim.deliveries.count == 3 && claim.hasMore)
        let rest = try world.claim(3)
        #expect(rest.deliveries.count == 2 && !rest.hasMore)
    }

    @Test("a claim of an empty queue brings nothing")
    func empty() throws {
        let claim = try self.world([]).claim()
        #expect(claim.deliveries.isEmpty && claim.dropped == 0 && !claim.hasMore)
    }

    @Test("workspaces take turns, however long their backlogs")
    func turns() throws {
        let world = try self.world([("a", 100), ("b", 2), ("c", 2)])
        #expect(try world.workspaces(6) == ["a", "b", "c", "a", "b", "c"])
    }

    @Test("the turn goes on where the last claim ended")
    func turnOverClaims() throws {
        let world = try self.world([("a", 9), ("b", 9), ("c", 9)])
        let order = try (0..<6).flatMap { _ in try world.workspaces(1) }
        #expect(order == ["a", "b", "c", "a", "b", "c"])
    }

    @Test("a turn is worth the quantum")
    func quantum() throws {
        let world = try self.world([("a", 9), ("b", 9)])
        #expect(try world.workspaces(8, quantum: 3) == ["a", "a", "a", "b", "b", "b", "a", "a"])
    }

    @Test("what a full node left of a turn the next claim goes on with")
    func credit() throws {
        let world = try self.world([("a", 9), ("b", 9)])
        #expect(try world.workspaces(2, quantum: 3) == ["a", "a"])
        #expect(try world.workspaces(4, quantum: 3) == ["a", "b", "b", "b"])
    }

    @Test("a weight multiplies the turn")
    func weight() throws {
        let world = try self.world([("a", 20), ("b", 20)])
        try world.limit("a", weight: 3)
        #expect(try world.workspaces(8) == ["a", "a", "a", "b", "a", "a", "a", "b"])
    }

    @Test("a weight holds for a node with one slot, too")
    func weightOneByOne() throws {
        let world = try self.world([("a", 30), ("b", 30)])
        try world.limit("a", weight: 4)
        let order = try (0..<20).flatMap { _ in try world.workspaces(1) }
        #expect(order.count { $0 == "a" } == 16 && order.count { $0 == "b" } == 4)
    }

    @Test("a workspace that waits alone gets every slot")
    func alone() throws {
        let world = try self.world([("a", 9)])
        #expect(try world.workspaces(9, quantum: 1).count == 9)
    }

    @Test("a node takes no more of a workspace than its share, what it holds counted")
    func share() throws {
        let world = try self.world([("a", 9), ("b", 9)])
        let claim = try world.claim(9, share: 3, held: [try WorkspaceID("a"): 2])
        let counts = Dictionary(grouping: claim.deliveries, by: \.workspace.name).mapValues(\.count)
        #expect(counts == ["a": 1, "b": 3] && claim.hasMore)
    }

    @Test("another node may take what is beyond a node's share")
    func shareOfOthers() throws {
        let world = try self.world([("a", 4)])
        try world.join("n2")
        #expect(try world.claim(9, share: 2).deliveries.count == 2)
        #expect(try world.claim(9, share: 2, node: "n2").deliveries.count == 2)
    }

    // MARK: - Priorities

    @Test("within a workspace the more urgent is delivered first")
    func priorities() throws {
        let world = QueueWorld()
        try world.join()
        let low = try world.accept(priority: .low)
        let normal = try world.accept(priority: .normal)
        let high = try world.accept(priority: .high)
        #expect(try world.claim().deliveries.map(\.jobID) == [high, normal, low])
    }

    @Test("a priority says nothing between workspaces")
    func prioritiesBetween() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept("a", priority: .low)
        try world.accept("b", priority: .high)
        #expect(try world.workspaces(1) == ["a"])
    }

    @Test("a lower priority that was passed over in eight turns gets one job")
    func starvation() throws {
        let world = QueueWorld()
        try world.join()
        for _ in 0..<30 { try world.accept(priority: .high) }
        try world.accept(priority: .low)
        let order = try (0..<10).map { _ in try world.next().entry.priority }
        #expect(order.firstIndex(of: .low) == 8)
    }

    // MARK: - Concurrency

    @Test("no more jobs of a workspace run than its concurrency, over all nodes")
    func concurrency() throws {
        let world = try self.world([("a", 9)])
        try world.join("n2")
        try world.limit("a", concurrency: 3)
        #expect(try world.claim(2).deliveries.count == 2)
        #expect(try world.claim(9, node: "n2").deliveries.count == 1)
        #expect(try world.claim(9).deliveries.isEmpty)
        #expect(world.statistics.parked == 1)
    }

    @Test(
        "each end makes room for one more",
        arguments: [
            Completion.End.completed, .cancelled, .discarded, .released, .retry(after: .seconds(9)),
        ])
    func concurrencyAfterEnd(end: Completion.End) throws {
        let world = try self.world([("a", 3)])
        try world.limit("a", concurrency: 1)
        let first = try world.next()
        #expect(try world.claim().deliveries.isEmpty)
        try world.finish(first, end)
        #expect(try world.claim().deliveries.count == 1)
    }

    @Test("a workspace at its limit holds up no other")
    func concurrencyOfOthers() throws {
        let world = try self.world([("a", 5), ("b", 2)])
        try world.limit("a", concurrency: 1)
        #expect(try world.workspaces(9).sorted() == ["a", "b", "b"])
    }

    @Test("a limit that is taken away frees what waited for it")
    func limitCleared() throws {
        let world = try self.world([("a", 3)])
        try world.limit("a", concurrency: 1)
        _ = try world.claim()
        _ = try world.claim()
        world.machine.setLimits(nil, of: try WorkspaceID("a"), auditEvent: [])
        #expect(try world.claim().deliveries.count == 2)
    }

    @Test("the limits are listed with what runs")
    func loads() throws {
        let world = try self.world([("a", 3)])
        try world.limit("a", weight: 2, concurrency: 2)
        _ = try world.claim()
        let load = try #require(world.machine.loads.first)
        #expect(load.workspace == "a" && load.limits.weight == 2 && load.running == 2)
    }

    // MARK: - Rates

    @Test("a rate allows a burst of one period's worth")
    func rateBurst() throws {
        let world = try self.world([("a", 9)])
        try world.limit("a", rate: WorkspaceLimits.Rate(count: 3, period: .seconds(60)))
        #expect(try world.claim().deliveries.count == 3)
        #expect(try world.claim().deliveries.isEmpty)
    }

    @Test("after the burst jobs start evenly, to the millisecond")
    func rateEvenly() throws {
        let world = try self.world([("a", 9)])
        try world.limit("a", rate: WorkspaceLimits.Rate(count: 3, period: .seconds(60)))
        _ = try world.claim()
        for _ in 0..<3 {
            #expect(try world.claim().deliveries.isEmpty)
            world.advance(.milliseconds(19_999))
            #expect(try world.claim().deliveries.isEmpty)
            world.advance(.milliseconds(1))
            #expect(try world.claim().deliveries.count == 1)
        }
    }

    @Test("an unused rate is kept for one period at most")
    func rateKept() throws {
        let world = try self.world([("a", 20)])
        try world.limit("a", rate: WorkspaceLimits.Rate(count: 3, period: .seconds(60)))
        _ = try world.claim()
        world.advance(.seconds(3600))
        #expect(try world.claim().deliveries.count == 3)
    }

    @Test("an end gives no credit: the rate counts starts")
    func rateCountsStarts() throws {
        let world = try self.world([("a", 9)])
        try world.limit("a", rate: WorkspaceLimits.Rate(count: 1, period: .seconds(60)))
        try world.finish(try world.next())
        #expect(try world.claim().deliveries.isEmpty)
    }

    @Test("new limits begin with a full burst")
    func rateReset() throws {
        let world = try self.world([("a", 9)])
        try world.limit("a", rate: WorkspaceLimits.Rate(count: 2, period: .seconds(60)))
        _ = try world.claim()
        try world.limit("a", rate: WorkspaceLimits.Rate(count: 2, period: .seconds(60)))
        #expect(try world.claim().deliveries.count == 2)
    }

    @Test("a clock that was set back holds up no workspace at its rate")
    func rateClockBack() throws {
        let world = try self.world([("a", 9)])
        try world.limit("a", rate: WorkspaceLimits.Rate(count: 1, period: .seconds(60)))
        _ = world.moveDue()
        _ = try world.claim()
        _ = try world.claim()
        world.now -= 3_600_000
        _ = world.moveDue()
        #expect(try world.claim().deliveries.count == 1)
    }
}
