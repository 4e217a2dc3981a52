import Domain
import JobsModel
import Testing

@testable import Jobs

/// Nodes and their leases. A lease lasts 30 s.
@Suite("QueueMachine, leases")
struct QueueLeaseTests {
    private func code(_ body: () throws -> Void) -> JobQueueError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? JobQueueError)?.code
        }
    }

    // MARK: - Joining

    @Test("a node that has not joined is unknown in every call")
    func unknown() throws {
        let world = QueueWorld()
        let node = try world.identity()
        let claim = self.code { _ = try world.claim() }
        let held = self.code { _ = try world.machine.held(by: node, fence: 0, at: world.now) }
        let renewal = self.code { _ = try world.renew() }
        #expect(claim == .unknownNode && held == .unknownNode && renewal == .unknownNode)
    }

    @Test("a first join holds nothing")
    func firstJoin() throws { #expect(try QueueWorld().join().isEmpty) }

    @Test("a later life of a node takes over what the earlier held, each counted as a crash")
    func nextLife() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        try world.accept()
        let held = try world.claim().deliveries
        let recovered = try world.join(life: 2)
        #expect(recovered.map(\.entry) == held.map(\.entry))
        #expect(recovered.allSatisfy { $0.isRecovered && $0.crashes == 1 })
    }

    @Test("a join that is sent again is no second death")
    func repeatedJoin() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        _ = try world.claim()
        _ = try world.join(life: 2)
        #expect(try world.join(life: 2).map(\.crashes) == [1])
        #expect(try world.join(life: 3).map(\.crashes) == [2])
    }

    @Test("the earlier life is fenced in every call")
    func fenced() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        let delivery = try world.next()
        try world.join(life: 2)
        let claim = self.code { _ = try world.claim() }
        let renewal = self.code { _ = try world.renew() }
        #expect(claim == .replaced && renewal == .replaced)
        #expect(try !world.finish(delivery))
        #expect(try world.finish(delivery, life: 2))
    }

    @Test("a name is not taken from another machine while its lease holds")
    func nameTaken() throws {
        let world = QueueWorld()
        try world.join(owner: "here")
        world.advance(.milliseconds(29_999))
        let early = self.code { try world.join(life: 2, owner: "there") }
        #expect(early == .nameTaken)
        world.advance(.milliseconds(1))
        let late = self.code { try world.join(life: 2, owner: "there") }
        #expect(late == nil)
    }

    @Test("an older incarnation does not take over while the newer one's lease holds")
    func olderIncarnation() throws {
        let world = QueueWorld()
        try world.join(life: 2)
        let early = self.code { try world.join(life: 1) }
        world.advance(.seconds(30))
        let late = self.code { try world.join(life: 1) }
        #expect(early == .replaced && late == nil)
    }

    @Test("a node that holds nothing leaves, and is unknown then")
    func leave() throws {
        let world = QueueWorld()
        try world.join()
        world.machine.leave(as: try world.identity(), at: world.now)
        let renewal = self.code { _ = try world.renew() }
        #expect(renewal == .unknownNode)
    }

    @Test("a node that holds something does not leave")
    func leaveHolding() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        _ = try world.next()
        world.machine.leave(as: try world.identity(), at: world.now)
        #expect(try world.renew().held == 1)
    }

    @Test("an earlier life cannot make its successor leave")
    func leaveOfOlder() throws {
        let world = QueueWorld()
        try world.join(life: 2)
        world.machine.leave(as: try world.identity(life: 1), at: world.now)
        #expect(try world.renew(life: 2).held == 0)
    }

    // MARK: - Claims

    @Test("a claimed job runs on its node")
    func running() throws {
        let world = QueueWorld()
        try world.join()
        let job = try world.accept()
        _ = try world.next()
        let record = try #require(try world.record(job))
        #expect(record.state == .running && record.node == "n1")
        #expect(world.statistics.running == 1 && world.statistics.waiting == 0)
    }

    @Test("a job is delivered to one node")
    func once() throws {
        let world = QueueWorld()
        try world.join()
        try world.join("n2")
        try world.accept()
        #expect(try world.claim().deliveries.count == 1)
        #expect(try world.claim(node: "n2").deliveries.isEmpty)
    }

    @Test("what was given in a lost answer is reported again")
    func held() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        let delivery = try world.next()
        let held = try world.machine.held(by: try world.identity(), fence: 0, at: world.now)
        #expect(held == [delivery])
    }

    @Test("a claim below the fence takes nothing")
    func fence() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        _ = try world.machine.held(by: try world.identity(), fence: 5, at: world.now)
        let late = self.code { _ = try world.claim(number: 4) }
        #expect(late == .unavailable)
        #expect(try world.claim(number: 5).deliveries.count == 1)
    }

    @Test("a new life begins without a fence, and a repeated join keeps it")
    func fenceAfterJoin() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        _ = try world.machine.held(by: try world.identity(), fence: 5, at: world.now)
        try world.join()
        let late = self.code { _ = try world.claim(number: 4) }
        try world.join(life: 2)
        #expect(late == .unavailable)
        #expect(try world.claim(number: 1, life: 2).deliveries.count == 1)
    }

    // MARK: - Renewal and rescue

    @Test("a renewal reports how many leases there are")
    func renewal() throws {
        let world = QueueWorld()
        try world.join()
        for _ in 0..<3 { try world.accept() }
        _ = try world.claim(2)
        #expect(try world.renew() == Renewal(dead: [], cancelled: [], held: 2))
    }

    @Test("a renewal reports nodes whose lease is over, the longest over first")
    func dead() throws {
        let world = QueueWorld()
        try world.join("n3")
        world.advance(.seconds(1))
        try world.join("n2")
        world.advance(.seconds(30))
        try world.join("n1")
        #expect(try world.renew().dead == ["n3"])
        world.advance(.milliseconds(1))
        #expect(try world.renew().dead == ["n3", "n2"])
    }

    @Test("a renewal keeps the lease for another term")
    func renewedLease() throws {
        let world = QueueWorld()
        try world.join("n1")
        try world.join("n2")
        world.advance(.seconds(20))
        _ = try world.renew("n2")
        world.advance(.seconds(20))
        #expect(try world.renew("n1").dead.isEmpty)
    }

    @Test("a dead node's jobs go back in line, each counted as a crash")
    func rescue() throws {
        let world = QueueWorld()
        try world.join()
        let jobs = [try world.accept(), try world.accept()]
        _ = try world.claim()
        world.advance(.seconds(30))
        #expect(world.rescue("n1") == 2)
        try world.join("n2")
        let taken = try world.claim(node: "n2").deliveries
        #expect(taken.map(\.jobID) == jobs && taken.allSatisfy { $0.crashes == 1 && !$0.isRecovered })
    }

    @Test("a node whose lease holds is not rescued")
    func rescueOfLiving() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        _ = try world.next()
        world.advance(.milliseconds(29_999))
        #expect(world.rescue("n1") == 0)
        #expect(world.statistics.running == 1)
    }

    @Test("an unknown node is not rescued")
    func rescueOfUnknown() { #expect(QueueWorld().rescue("n9") == 0) }

    @Test("a rescue in parts takes the older entries first, and the node is unknown after the last part")
    func rescueInParts() throws {
        let world = QueueWorld()
        try world.join()
        let jobs = try (0..<3).map { _ in try world.accept() }
        _ = try world.claim()
        world.advance(.seconds(31))
        try world.join("n2")
        #expect(world.rescue("n1", most: 2) == 2)
        #expect(try world.renew("n2").dead == ["n1"])
        #expect(world.rescue("n1", most: 2) == 1)
        #expect(try world.renew("n2").dead.isEmpty)
        #expect(try world.claim(node: "n2").deliveries.map(\.jobID) == jobs)
    }

    @Test("after a rescue the former holder writes nothing")
    func rescuedHolder() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        let delivery = try world.next()
        world.advance(.seconds(31))
        _ = world.rescue("n1")
        #expect(try !world.finish(delivery))
    }

    @Test("crashes are counted over nodes, and end with the job")
    func crashCount() throws {
        let world = QueueWorld()
        let job = try world.accept()
        for count in 0..<3 {
            try world.join("n\(count)")
            #expect(try world.next(node: "n\(count)").crashes == count)
            world.advance(.seconds(31))
            _ = world.rescue("n\(count)")
        }
        #expect(try world.record(job)?.crashes == 3)
    }

    @Test("a clock that was set back shortens no lease, and lengthens none beyond a term")
    func clockBack() throws {
        let world = QueueWorld()
        try world.join("n1")
        _ = world.moveDue()
        world.now -= 3_600_000
        _ = world.moveDue()
        try world.join("n2")
        world.advance(.milliseconds(30_001))
        #expect(try world.renew("n2").dead == ["n1"])
    }

    // MARK: - Completion

    @Test("an end is written once")
    func finishTwice() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        let delivery = try world.next()
        #expect(try world.finish(delivery))
        #expect(try !world.finish(delivery))
        #expect(world.audit == ["submitted", "outcome"])
    }

    @Test("a record keeps what its end says")
    func record() throws {
        let world = QueueWorld()
        try world.join()
        let job = try world.accept()
        let delivery = try world.next()
        world.advance(.seconds(9))
        try world.finish(delivery, failures: 2, reason: "because", result: [1, 2, 3])
        let record = try #require(try world.record(job))
        #expect(record.finishedAt == world.now && record.startedAt == world.now - 5)
        #expect(record.failures == 2 && record.reason == "because" && record.sealedResult == [1, 2, 3])
    }

    @Test("a released job goes to the end of its line, its tries unchanged")
    func released() throws {
        let world = QueueWorld()
        try world.join()
        let first = try world.accept()
        let second = try world.accept()
        try world.finish(try world.next(), .released)
        #expect(try world.state(first) == .available)
        let again = try world.claim().deliveries
        #expect(again.map(\.jobID) == [second, first] && again.allSatisfy { $0.failures == 0 && $0.crashes == 0 })
    }

    @Test("a retried job waits for its delay and brings its failures along")
    func retried() throws {
        let world = QueueWorld()
        try world.join()
        let job = try world.accept()
        try world.finish(try world.next(), .retry(after: .seconds(5)), failures: 1)
        #expect(try world.state(job) == .retryable)
        world.advance(.seconds(5))
        #expect(world.moveDue() == 1)
        #expect(try world.next().failures == 1)
    }

    @Test("a retry without a delay is due at once")
    func retriedNow() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        try world.finish(try world.next(), .retry(after: .zero), failures: 1)
        #expect(world.moveDue() == 1)
    }

    @Test("of a batch each completion is written or refused by itself")
    func batch() throws {
        let world = QueueWorld()
        try world.join()
        try world.accept()
        try world.accept()
        let deliveries = try world.claim().deliveries
        try world.finish(deliveries[0])
        let completions = deliveries.map {
            Completion(delivery: $0, end: .completed, action: "queue.noop", failures: 0, crashes: 0)
        }
        let written = world.machine.finish(completions, as: try world.identity(), at: world.now)
        #expect(written == [false, true])
    }
}
