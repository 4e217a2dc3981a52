import Domain
import ModelUsage
import Testing

@testable import orchestra

@Suite("What an agent used of the network")
struct NetworkUseTests {
    private static func row(_ status: String, _ connection: JSONValue = .null, count: Int64 = 1) -> JSONValue {
        ["time": 1_790_000_000_000, "status": .string(status), "count": .integer(count), "connection": connection]
    }

    private static let ended: JSONValue = [
        "method": "POST", "host": "api.example.test", "path": "/v1/messages", "bytes_out": 10, "bytes_in": 20,
        "cost_microdollars": 1500,
        "model": [
            "name": "claude-x",
            "usage": ["input": 100, "output": 7, "cache_read": 20, "cache_write": 3, "estimated": true],
        ],
    ]

    @Test("rows add up to one line")
    func summary() {
        var use = NetworkUse()
        use.add(Self.row("allowed"))
        use.add(Self.row("denied", count: 4))
        use.add(Self.row("ended", Self.ended))
        use.add(Self.row("ended", ["bytes_out": 1, "bytes_in": 2]))
        #expect(
            use.summary
                == "1 requests, 4 refused, 11 bytes out, 22 bytes in, 123 tokens in, 7 tokens out, $0.00150 (in part estimated)"
        )
    }

    @Test("a row is one printable line")
    func line() {
        let line = NetworkUse.line(Self.row("ended", Self.ended))
        #expect(line.hasPrefix("2026-09-21T") && line.contains("POST api.example.test/v1/messages  claude-x"))
        #expect(line.hasSuffix("10 out, 20 in  100 + 7 tokens"))
        #expect(!NetworkUse.line(Self.row("denied", ["host": "a\u{1b}[31m"])).contains("\u{1b}"))
    }

    @Test(
        "an amount is read in the unit's own terms",
        arguments: [
            ("5", BudgetUnit.money, 5_000_000_000), ("2.50", .money, 2_500_000_000), ("0.000000001", .money, 1),
            ("9007199", .money, 9_007_199_000_000_000), ("20000000", .tokens, 20_000_000),
        ] as [(String, BudgetUnit, UInt64)])
    func amount(_ text: String, _ unit: BudgetUnit, _ amount: UInt64) throws {
        #expect(try BudgetsCommand.Amount.read(text, unit) == amount)
    }

    @Test(
        "an amount that is none is refused",
        arguments: [
            ("", BudgetUnit.money), ("-1", .money), ("1.", .money), ("1.0000000001", .money), ("9007200", .money),
            ("1.5", .tokens), ("9007199254740992", .tokens), ("1e3", .requests), ("١", .tokens),
        ])
    func noAmount(_ text: String, _ unit: BudgetUnit) {
        #expect(throws: CommandError.self) { try BudgetsCommand.Amount.read(text, unit) }
    }

    @Test("amounts and limits are shown in the unit's own terms")
    func shown() {
        #expect(BudgetUnit.money.text(of: 1_234_567_890) == "$1.23457")
        #expect(BudgetUnit.requests.text(of: 12) == "12 requests")
        let each = BudgetLimit(id: "a", scope: .job, window: .run, unit: .tokens, amount: 3)
        let one = BudgetLimit(id: "b", scope: .workspace, name: "acme", window: .day, unit: .money, amount: 1)
        #expect(BudgetsCommand.line(each) == "a  3 tokens per run for each job")
        #expect(BudgetsCommand.line(one) == "b  $0.00001 per day for the workspace acme")
    }

    @Test("one line a minute says how many there were")
    func throttle() {
        let throttle = LogThrottle()
        #expect(throttle.note(at: 100_000) == 1)
        #expect((0..<9).allSatisfy { throttle.note(at: 100_001 + $0) == nil })
        #expect(throttle.note(at: 160_000) == 10)
        #expect(throttle.note(at: 5) == 1, "a clock that goes back does not silence it")
    }
}
