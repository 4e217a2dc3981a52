import Domain
import JobsModel
import Testing

@testable import Jobs

@Suite("Homes of workspaces")
struct QueueHomeTests {
    private static func world(_ homes: HomePolicy = .move(after: .seconds(600))) throws -> QueueWorld {
        let world = QueueWorld(limits: QueueLimits(homes: homes))
        try world.join("n1")
        try world.join("n2")
        return world
    }

    /// Ends the lease of a node, and lets another rescue its jobs.
    private static func lose(_ node: String, of world: QueueWorld) {
        world.advance(.seconds(31))
        _ = world.rescue(node)
    }

    @Test("the first node that claims is the home: the other one gets no job of the workspace, and sees no more work")
    func firstClaim() throws {
        let world = try Self.world()
        for _ in 0..<2 { try world.accept() }
        let first = try world.claim(1, node: "n1")
        let other = try world.claim(10, node: "n2")
        #expect(first.deliveries.count == 1 && first.hasMore && first.moved.isEmpty)
        #expect(other.deliveries.isEmpty && !other.hasMore)
        #expect(try world.claim(10, node: "n1").deliveries.count == 1)
        #expect(world.machine.home(of: try WorkspaceID("acme")) == "n1")
    }

    @Test("workspaces of other homes take no turn of those that the node may serve")
    func othersAreSkipped() throws {
        let world = try Self.world()
        for name in ["a", "b", "c", "d"] { try world.setHome("n1", of: name) }
        for name in ["a", "b", "mine", "c", "new", "d"] { try world.accept(name) }
        try world.setHome("n2", of: "mine")
        #expect(try world.claim(10, node: "n2").deliveries.map(\.workspace.name) == ["mine", "new"])
    }

    @Test("where all nodes have the same files, any node gets any job")
    func shared() throws {
        let world = try Self.world(.shared)
        for _ in 0..<2 { try world.accept() }
        _ = try world.next(node: "n1")
        #expect(try world.claim(10, node: "n2").deliveries.count == 1)
        #expect(world.machine.workspaceHomes.isEmpty)
    }

    @Test("a job that its node handed back, and one that is due again, wait for their home")
    func returnsHome() throws {
        let world = try Self.world()
        for _ in 0..<2 { try world.accept() }
        try world.finish(try world.next(node: "n1"), .released, node: "n1")
        try world.finish(try world.next(node: "n1"), .retry(after: .seconds(1)), node: "n1")
        world.advance(.seconds(2))
        #expect(world.moveDue() == 1)
        #expect(try world.claim(10, node: "n2").deliveries.isEmpty)
        #expect(try world.claim(10, node: "n1").deliveries.count == 2)
    }

    @Test(
        "a node that could not launch a job, and has no files of its workspace, is not its home any more; the move is recorded",
        arguments: ["n1", "n2"])
    func leavesHome(_ next: String) throws {
        let world = try Self.world()
        try world.accept()
        let delivery = try world.next(node: "n1")
        let completion = Completion(
            delivery: delivery, end: .released, action: "queue.noop", failures: 0, crashes: 0, leavesHome: true)
        #expect(world.machine.finish([completion], as: try world.identity("n1"), at: world.now) == [true])
        let claim = try world.claim(10, node: next)
        #expect(claim.deliveries.count == 1)
        // One that takes it again has not moved it.
        let moves = next == "n1" ? [] : [WorkspaceMove(workspace: try WorkspaceID("acme"), origin: "n1")]
        #expect(claim.moved == moves)
        #expect(world.audit.filter { $0.contains("workspace.moved") }.count == moves.count)
    }

    @Test("the jobs of a dead home are rescued and wait for it; when it is back in time it gets them again")
    func comesBack() throws {
        let world = try Self.world()
        try world.accept()
        _ = try world.next(node: "n1")
        world.advance(.seconds(20))
        _ = try world.renew("n2")
        Self.lose("n1", of: world)
        try world.join("n2", life: 2)
        #expect(world.statistics.stranded == 1)
        _ = world.moveDue()
        #expect(try world.claim(10, node: "n2", life: 2).deliveries.isEmpty)
        try world.join("n1", life: 2)
        #expect(world.statistics.stranded == 0)
        #expect(try world.next(node: "n1", life: 2).crashes == 1)
    }

    @Test("past the timeout the next node that claims is the home, and the move is in the audit trail")
    func movesOn() throws {
        let world = try Self.world()
        try world.accept()
        _ = try world.next(node: "n1")
        Self.lose("n1", of: world)
        // The lease ended a second ago.
        world.advance(.seconds(598))
        try world.join("n2", life: 2)
        _ = world.moveDue()
        #expect(try world.claim(10, node: "n2", life: 2).deliveries.isEmpty)
        world.advance(.seconds(1))
        _ = world.moveDue()
        let claim = try world.claim(10, node: "n2", life: 2)
        #expect(claim.deliveries.count == 1)
        #expect(claim.moved == [WorkspaceMove(workspace: try WorkspaceID("acme"), origin: "n1")])
        #expect(world.audit.filter { $0.contains("workspace.moved") }.count == 1)
        #expect(world.machine.workspaceHomes.first?.node == "n2")
    }

    @Test("a workspace without work keeps a home that is away")
    func idleKeepsHome() throws {
        let world = try Self.world()
        try world.accept()
        try world.finish(try world.next(node: "n1"), .completed, node: "n1")
        #expect(try !world.claim(10, node: "n1").hasMore)
        world.machine.leave(as: try world.identity("n1"), at: world.now)
        world.advance(.seconds(86_400))
        _ = world.moveDue()
        try world.join("n1", life: 2)
        try world.join("n2", life: 2)
        try world.accept()
        #expect(try world.claim(10, node: "n2", life: 2).deliveries.isEmpty)
        #expect(try world.next(node: "n1", life: 2).crashes == 0)
    }

    @Test("with wait the jobs stay until a person sets another home, or ends it")
    func waits() throws {
        let world = try Self.world(.wait)
        for name in ["acme", "other"] {
            try world.accept(name)
            _ = try world.next(node: "n1")
        }
        Self.lose("n1", of: world)
        try world.join("n2", life: 2)
        world.advance(.seconds(86_400 * 30))
        _ = world.moveDue()
        try world.join("n2", life: 3)
        #expect(try world.claim(10, node: "n2", life: 3).deliveries.isEmpty)
        #expect(try world.setHome("n2") == .done(files: "n1"))
        #expect(try world.claim(10, node: "n2", life: 3).deliveries.map(\.workspace.name) == ["acme"])
        #expect(try world.setHome(nil, of: "other") == .done(files: "n1"))
        #expect(try world.setHome(nil, of: "other") == .hasNone)
        #expect(try world.claim(10, node: "n2", life: 3).moved.map(\.workspace.name) == ["other"])
    }

    @Test("what a node held comes back to it when it joins, and goes to the home that was set meanwhile when released")
    func joinsElsewhere() throws {
        let world = try Self.world()
        for name in ["stays", "goes"] { try world.accept(name) }
        #expect(try world.claim(10, node: "n1").deliveries.count == 2)
        try world.setHome("n2", of: "goes")
        let held = try world.join("n1", life: 2)
        #expect(Set(held.filter { !$0.isElsewhere }.map(\.workspace.name)) == ["stays"])
        let gone = try #require(held.first { $0.isElsewhere })
        #expect(gone.workspace.name == "goes" && gone.crashes == 1)
        #expect(try world.claim(10, node: "n2").deliveries.isEmpty)
        try world.finish(gone, .released, node: "n1", life: 2)
        #expect(try world.claim(10, node: "n2").deliveries.map(\.workspace.name) == ["goes"])
    }
}
