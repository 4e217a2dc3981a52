import Domain
import Testing

@testable import Jobs

@Suite("Lane")
struct LaneTests {
    @Test("a single lane serves every workspace", arguments: ["a", "acme", "other"])
    func single(name: String) throws {
        #expect(Lane.of(try WorkspaceID(name), among: 1) == .single)
        #expect(Lane.of(try WorkspaceID(name), among: 0) == .single)
    }

    @Test(
        "a workspace's lane never changes: it is part of what lies in Redis",
        arguments: [
            ("acme", 4, 0), ("other", 4, 1), ("a", 4, 0), ("a", 16, 12), ("acme", 16, 12), ("team-7", 16, 7),
        ])
    func stable(name: String, count: Int, expected: Int) throws {
        var hash: UInt64 = 14_695_981_039_346_656_037
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211 }
        #expect(Lane.of(try WorkspaceID(name), among: count).number == Int(hash % UInt64(count)))
    }

    @Test("lanes are numbered from zero below their count, and all are used")
    func range() throws {
        let numbers = Set(try (0..<200).map { Lane.of(try WorkspaceID("w\($0)"), among: 8).number })
        #expect(numbers == Set(0..<8))
    }

    @Test("a lane's keys share a slot by their hash tag")
    func keys() {
        let lane = Lane(number: 3)
        #expect(lane.hashTag == "l3" && lane.key("audit") == "orc:{l3}:audit" && lane.anchor == "orc:{l3}:lane")
    }
}

@Suite("ClaimRequest")
struct ClaimRequestTests {
    @Test(
        "the quantum is a quarter of the free slots, from 1 to 32",
        arguments: [
            (0, 1), (1, 1), (4, 1), (7, 1), (8, 2), (127, 31), (128, 32), (10_000, 32),
        ])
    func quantum(free: Int, expected: Int) { #expect(ClaimRequest.quantum(for: free) == expected) }

    @Test("a share has a largest value")
    func share() {
        #expect(ClaimRequest(most: 1, share: .max).share == 1_000_000)
        #expect(ClaimRequest(most: 1, share: 5).share == 5)
    }
}

@Suite("JobStart")
struct JobStartTests {
    private static let now: UInt64 = 1_800_000_000_000

    @Test(
        "now and delays that are no longer than nothing mean at once",
        arguments: [
            JobStart.now, .after(.zero), .after(.seconds(-5)), .at(0), .at(99_999_999_999),
        ])
    func atOnce(start: JobStart) { #expect(start.time(at: Self.now) == nil) }

    @Test("a delay is counted from the queue's time")
    func delay() { #expect(JobStart.after(.milliseconds(1500)).time(at: Self.now) == Self.now + 1500) }

    @Test("a delay is at most a year and a day")
    func longestDelay() {
        #expect(JobStart.after(.seconds(1_000_000_000)).time(at: Self.now) == Self.now + 366 * 86_400_000)
    }

    @Test("a time is itself")
    func time() { #expect(JobStart.at(Self.now + 7).time(at: Self.now) == Self.now + 7) }

    @Test("no delay looks like a time")
    func unambiguous() { #expect(JobStart.after(JobStart.longestDelay).argument < 100_000_000_000) }
}

@Suite("WorkspaceLimits")
struct WorkspaceLimitsTests {
    @Test("a weight is 1 to 100", arguments: [(0, false), (1, true), (100, true), (101, false), (-1, false)])
    func weight(weight: Int, isValid: Bool) { #expect((WorkspaceLimits(weight: weight) != nil) == isValid) }

    @Test("a concurrency is 1 to 1,000,000", arguments: [(0, false), (1, true), (1_000_000, true), (1_000_001, false)])
    func concurrency(value: Int, isValid: Bool) { #expect((WorkspaceLimits(concurrency: value) != nil) == isValid) }

    @Test(
        "a rate is 1 to 1,000,000 in one second to one day",
        arguments: [
            (0, 60_000, false), (1, 1000, true), (1, 999, false), (1_000_000, 86_400_000, true),
            (1_000_001, 60_000, false),
            (1, 86_400_001, false),
        ])
    func rate(count: Int, milliseconds: Int, isValid: Bool) {
        #expect((WorkspaceLimits.Rate(count: count, period: .milliseconds(milliseconds)) != nil) == isValid)
    }

    @Test("limits are read as they were written")
    func text() throws {
        let all = [
            WorkspaceLimits(), WorkspaceLimits(weight: 7), WorkspaceLimits(concurrency: 3),
            WorkspaceLimits(weight: 2, concurrency: 1, rate: WorkspaceLimits.Rate(count: 5, period: .seconds(60))),
        ]
        for limits in all { #expect(WorkspaceLimits(text: try #require(limits).text) == limits) }
    }

    @Test("other texts are no limits", arguments: ["", "1", "1:0:0", "0:0:0:0", "1:-1:0:0", "a:b:c:d", "1:0:0:0:0"])
    func otherText(text: String) { #expect(WorkspaceLimits(text: text) == nil) }
}

@Suite("JobProgress")
struct JobProgressTests {
    @Test("a percentage is 0 to 100", arguments: [(-5, 0), (0, 0), (50, 50), (100, 100), (1000, 100)])
    func percent(given: Int, expected: Int) { #expect(JobProgress(percent: given, text: "").percent == expected) }

    @Test("a text is one line of at most 200 characters")
    func text() {
        let progress = JobProgress(percent: 1, text: String(repeating: "a\n", count: 500))
        #expect(progress.text.unicodeScalars.count <= 201 && !progress.text.contains("\n"))
    }
}

@Suite("JobQueueError")
struct JobQueueErrorTests {
    private static let codes: [JobQueueError.Code] = [
        .unavailable, .full, .replaced, .unknownNode, .nameTaken, .wrongMasterKey, .wrongLanes, .wrongFiles,
        .unreadable, .failed,
    ]

    @Test("only an outage and a full Redis pass by themselves", arguments: codes)
    func passing(code: JobQueueError.Code) {
        #expect(JobQueueError(code: code, message: "").isTransient == [.unavailable, .full].contains(code))
    }

    @Test("a name, a key and lanes that are not this process' never become its own", arguments: codes)
    func permanent(code: JobQueueError.Code) {
        let permanent: [JobQueueError.Code] = [.replaced, .nameTaken, .wrongMasterKey, .wrongLanes, .wrongFiles]
        #expect(JobQueueError(code: code, message: "").isPermanent == permanent.contains(code))
    }
}

@Suite("CapacityPlan")
struct CapacityPlanTests {
    @Test("all grows with the rate")
    func rate() {
        let one = CapacityPlan(rate: 1, resultSize: 100, limits: QueueLimits())
        let ten = CapacityPlan(rate: 10, resultSize: 100, limits: QueueLimits())
        #expect(ten.total == one.total * 10 && ten.auditPerDay == one.auditPerDay * 10)
    }

    @Test("records grow with the size of results and with their retention")
    func records() {
        func records(_ size: Int, _ retention: Duration) -> Int? {
            let limits = QueueLimits(retention: retention)
            return CapacityPlan(rate: 2, resultSize: size, limits: limits).items
                .first { $0.name == "records and results" }?.bytes
        }
        #expect(records(100, .seconds(700)) == 2 * 1000 * (104 + 100 + 33))
        #expect(records(0, .seconds(9700)) == 2 * 10_000 * (104 + 33))
    }

    @Test("the recommendation leaves room for half as much again")
    func recommended() {
        let plan = CapacityPlan(rate: 100, resultSize: 1000, limits: QueueLimits())
        #expect(plan.recommended == plan.total + plan.total / 2)
    }
}

@Suite("ParamsDigester")
struct ParamsDigesterTests {
    @Test("the digest is HMAC-SHA-256 of the bytes as received (RFC 4231, test case 2)")
    func vector() throws {
        let digest = try ParamsDigester(key: Array("Jefe".utf8)).digest(Array("what do ya want for nothing?".utf8))
        #expect(
            Hexadecimal.text(of: digest) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }

    @Test("another spelling of the same JSON has another digest")
    func rawBytes() throws {
        let digester = ParamsDigester(key: [1])
        #expect(try digester.digest(Array("{}".utf8)) != (try digester.digest(Array("{ }".utf8))))
    }

    @Test("another key gives another digest")
    func keyed() throws {
        let params = Array("{}".utf8)
        #expect(try ParamsDigester(key: [1]).digest(params) != (try ParamsDigester(key: [2]).digest(params)))
    }
}
