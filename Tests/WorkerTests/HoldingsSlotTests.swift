import Domain
import TestSupport
import Testing

@testable import Jobs
@testable import Worker

/// Lets a test's expectations call the mutating methods.
private final class HoldingsBox {
    private var holdings: Holdings

    init(capacity: Int) { self.holdings = Holdings(capacity: capacity) }

    var free: Int { self.holdings.free }
    var count: Int { self.holdings.count }
    var servable: [Int] { Array(self.holdings.servableLanes) }
    func reserve(_ lane: Int, most: Int = 128) -> Int { self.holdings.reserve(most, for: lane) }
    func unreserve(_ count: Int) { self.holdings.unreserve(count) }
    func withdraw(_ lane: Int) { self.holdings.withdraw(lane: lane) }
    func end(_ numbers: Range<Int>) throws { self.holdings.release(try Self.deliveries(numbers).map(\.entry)) }
    func hold(_ numbers: Range<Int>) throws { _ = self.holdings.admit(try Self.deliveries(numbers)) }

    private static func deliveries(_ numbers: Range<Int>) throws -> [Delivery] {
        let workspace = try WorkspaceID("acme")
        return numbers.map { number in
            Delivery(
                workspace: workspace, jobID: nil,
                entry: EntryReference(
                    workspace: workspace, priority: .normal,
                    id: EntryID(milliseconds: UInt64(number), sequence: 0)),
                envelope: [], crashes: 0, failures: 0, isRecovered: false)
        }
    }
}

@Suite("Slots shared between lanes")
struct HoldingsSlotTests {
    @Test("a lane that asks alone gets all free slots, up to what it asks for")
    func alone() {
        let holdings = HoldingsBox(capacity: 16)
        #expect(holdings.reserve(3) == 16)
        holdings.unreserve(16)
        #expect(holdings.reserve(4, most: 5) == 5)
    }

    @Test("no slot is promised to two lanes")
    func noDoublePromise() {
        let holdings = HoldingsBox(capacity: 16)
        #expect(holdings.reserve(3) == 16)
        #expect(holdings.reserve(4) == 0)
    }

    @Test("one long job leaves all other slots usable, with as many lanes as slots")
    func longJob() throws {
        let holdings = HoldingsBox(capacity: 16)
        try holdings.hold(0..<16)
        for lane in 0..<16 { #expect(holdings.reserve(lane) == 0) }
        try holdings.end(1..<16)
        // Each idle lane asks once and finds no work.
        for lane in 0..<15 {
            let count = holdings.reserve(lane)
            #expect(count >= 1)
            holdings.unreserve(count)
        }
        #expect(holdings.reserve(15) == 15)
    }

    @Test("with one slot and two lanes the lanes take turns")
    func oneSlot() throws {
        let holdings = HoldingsBox(capacity: 1)
        try holdings.hold(0..<1)
        #expect(holdings.reserve(0) == 0)
        #expect(holdings.reserve(1) == 0)
        var order: [Int] = []
        for turn in 0..<6 {
            try holdings.end(turn..<turn + 1)
            for lane in [1, 0] {
                let count = holdings.reserve(lane)
                guard count > 0 else { continue }
                order.append(lane)
                try holdings.hold(turn + 1..<turn + 2)
                holdings.unreserve(count)
            }
            _ = [0, 1].map { holdings.reserve($0) }
        }
        #expect(order == [0, 1, 0, 1, 0, 1])
    }

    @Test("a lane that wants nothing any more gives its place to the lanes behind it")
    func withdrawal() throws {
        let holdings = HoldingsBox(capacity: 1)
        try holdings.hold(0..<1)
        #expect(holdings.reserve(0) == 0)
        #expect(holdings.reserve(1) == 0)
        try holdings.end(0..<1)
        #expect(holdings.servable == [0])
        #expect(holdings.reserve(1) == 0)
        holdings.withdraw(0)
        #expect(holdings.servable == [1])
        #expect(holdings.reserve(1) == 1)
    }

    @Test("only a lane that is about to claim keeps its place; one that must first ask its queue gives it up")
    func keepsPlaceOnlyToClaim() throws {
        var machine = FetchMachine()
        let holdings = HoldingsBox(capacity: 1)
        try holdings.hold(0..<1)
        machine.joined()
        #expect(machine.next(isPaused: false).wantsSlot)
        #expect(holdings.reserve(0) == 0)
        #expect(holdings.reserve(1) == 0)
        // Its queue stops answering.
        machine.failed()
        for step in [machine.next(isPaused: false), machine.next(isPaused: true)] where !step.wantsSlot {
            holdings.withdraw(0)
        }
        try holdings.end(0..<1)
        #expect(holdings.servable == [1])
        #expect(holdings.reserve(1) == 1)
        #expect([FetchMachine.Step.join, .askHeld(fence: 1), .wait].allSatisfy { !$0.wantsSlot })
    }

    @Test("what is free is divided among the lanes that wait")
    func shares() throws {
        let holdings = HoldingsBox(capacity: 12)
        try holdings.hold(0..<12)
        for lane in 0..<3 { #expect(holdings.reserve(lane) == 0) }
        try holdings.end(0..<12)
        #expect([0, 1, 2].map { holdings.reserve($0) } == [4, 4, 4])
        #expect(holdings.free == 0)
    }

    @Test("a lane that was refused twice keeps its first place")
    func keepsPlace() throws {
        let holdings = HoldingsBox(capacity: 1)
        try holdings.hold(0..<1)
        for lane in [5, 6, 5, 6, 5] { #expect(holdings.reserve(lane) == 0) }
        try holdings.end(0..<1)
        #expect(holdings.servable == [5])
    }

    @Test(
        "random lanes: no slot is promised twice, none stays idle while a lane with work waits, and all work is done",
        arguments: 0..<100)
    func randomLanes(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let capacity = Int.random(in: 1...20, using: &random)
        let lanes = Int.random(in: 1...20, using: &random)
        let holdings = HoldingsBox(capacity: capacity)
        var work = (0..<lanes).map { _ in Int.random(in: 0...30, using: &random) }
        var running: [Int] = []
        var next = 0
        for _ in 0..<50_000 {
            guard work.contains(where: { $0 > 0 }) || !running.isEmpty else { break }
            let lane = Int.random(in: 0..<lanes, using: &random)
            let free = holdings.free
            let count = holdings.reserve(lane)
            #expect((0...free).contains(count))
            if count > 0 {
                let taken = min(count, work[lane])
                work[lane] -= taken
                try holdings.hold(next..<next + taken)
                running += next..<next + taken
                next += taken
                holdings.unreserve(count)
            } else if free > 0 {
                #expect(!holdings.servable.isEmpty)
            }
            // What a consumer without work does when it is woken.
            for served in holdings.servable where work[served] == 0 { holdings.withdraw(served) }
            #expect(holdings.count <= capacity)
            if !running.isEmpty, Bool.random(using: &random) {
                let number = running.remove(at: Int.random(in: running.indices, using: &random))
                try holdings.end(number..<number + 1)
            }
        }
        #expect(work.allSatisfy { $0 == 0 } && running.isEmpty)
    }
}
