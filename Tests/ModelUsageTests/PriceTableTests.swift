import Domain
import Foundation
import ModelUsage
import Testing

@Suite("PriceTable")
struct PriceTableTests {
    private static let head = #""source":"s","date":"2026-11-30","unknown_model":"refuse""#

    private func table(_ models: String, unknown: String = "refuse") throws -> PriceTable {
        let text = #"{"source":"s","date":"2026-11-30","unknown_model":"\#(unknown)","models":[\#(models)]}"#
        return try PriceTable(json: Array(text.utf8), file: "p.json")
    }

    private static let sonnet =
        #"{"provider":"anthropic","model":"claude-sonnet-4*","input":3000000,"output":15000000,"cache_read":300000,"cache_write":3750000,"cache_write_hour":6000000,"long_input":{"above":200000,"input":6000000,"output":22500000},"tiers":{"priority":125}}"#
    private static let exact = #"{"provider":"anthropic","model":"claude-sonnet-4-5","input":1,"output":1}"#
    private static let gpt = #"{"provider":"openai","model":"gpt-5*","input":1250000,"output":10000000}"#

    @Test(
        "the cost is the sum of all kinds in billionths of a dollar, rounded up once",
        arguments: [
            (TokenUsage(), 0), (TokenUsage(input: 1), 3000), (TokenUsage(output: 1), 15_000),
            (TokenUsage(cacheRead: 1), 300), (TokenUsage(cacheWrite: 1), 3750),
            (TokenUsage(cacheWrite: 2, cacheWriteHour: 1), 9750), (TokenUsage(cacheWrite: 1, cacheWriteHour: 9), 6000),
            (TokenUsage(input: 1000, output: 200, cacheRead: 50_000, cacheWrite: 10), 21_037_500),
            (TokenUsage(input: 200_000), 600_000_000), (TokenUsage(input: 200_001), 1_200_006_000),
            (TokenUsage(input: 100_000, cacheRead: 100_001), 1_200_006_000),
            (TokenUsage(input: .max, output: .max, cacheRead: .max, cacheWrite: .max), 18_446_744_073_709_552),
        ] as [(TokenUsage, UInt64)])
    func cost(usage: TokenUsage, nanodollars: UInt64) throws {
        var usage = usage
        usage.model = "claude-sonnet-4-20250514"
        #expect(try self.table(Self.sonnet).cost(of: usage, provider: .anthropic).nanodollars == nanodollars)
    }

    @Test("a price below a billionth of a dollar rounds up")
    func roundsUp() throws {
        let table = try self.table(Self.exact)
        let usage = TokenUsage(input: 1, model: "claude-sonnet-4-5")
        #expect(try table.cost(of: usage, provider: .anthropic) == Money(nanodollars: 1))
        #expect(Money(nanodollars: 1).microdollars == 1)
        #expect(Money(nanodollars: 2000).microdollars == 2)
    }

    @Test("an exact name comes before a pattern, and a longer pattern before a shorter one")
    func precision() throws {
        let table = try self.table(Self.sonnet + "," + Self.exact + "," + Self.gpt)
        #expect(table.entry(provider: .anthropic, model: "claude-sonnet-4-5")?.prices.input == 1)
        #expect(table.entry(provider: .anthropic, model: "claude-sonnet-4-5-x")?.prices.input == 3_000_000)
        #expect(table.entry(provider: .openAIChat, model: "gpt-5-mini")?.prices.input == 1_250_000)
        #expect(table.entry(provider: .openAIResponses, model: "gpt-5")?.prices.input == 1_250_000)
        #expect(table.entry(provider: .gemini, model: "gpt-5") == nil)
        #expect(table.entry(provider: .anthropic, model: "claude-sonnet-") == nil)
    }

    @Test("an unknown model is refused, or costs as much as the dearest", arguments: ["other", nil])
    func unknown(model: String?) throws {
        let usage = TokenUsage(input: 1, output: 1, model: model)
        let strict = try self.table(Self.sonnet)
        #expect(throws: ModelUsageError.self) { try strict.cost(of: usage, provider: .anthropic) }
        let open = try self.table(Self.sonnet + "," + Self.gpt, unknown: "dearest")
        // Long input.
        #expect(try open.cost(of: usage, provider: .anthropic).nanodollars == 6000 + 22_500)
        // None of the provider's own models is listed: the dearest of all.
        #expect(try open.cost(of: usage, provider: .gemini).nanodollars == 6000 + 22_500)
        let dearest = try open.cost(of: usage, provider: .gemini, tier: "priority").nanodollars
        #expect(dearest == (6000 + 22_500) * 125 / 100)
        let empty = try self.table("", unknown: "dearest")
        #expect(throws: ModelUsageError.self) { try empty.cost(of: usage, provider: .gemini) }
    }

    @Test(
        "a tier has its own price, and an unknown one that of the dearest",
        arguments: [
            (nil, 3000), ("auto", 3000), ("default", 3000), ("standard", 3000), ("priority", 3750), ("fast", 3750),
        ] as [(String?, UInt64)])
    func tiers(tier: String?, nanodollars: UInt64) throws {
        let usage = TokenUsage(input: 1, model: "claude-sonnet-4")
        let cost = try self.table(Self.sonnet).cost(of: usage, provider: .anthropic, tier: tier)
        #expect(cost.nanodollars == nanodollars)
    }

    @Test("the highest cost of a call is that with the dearest kind of input")
    func highestCost() throws {
        func highest(_ model: String) throws -> UInt64 {
            try self.table(Self.sonnet + "," + Self.exact).highestCost(
                input: 10, output: 2, model: model, provider: .anthropic, tier: nil
            ).nanodollars
        }
        // Input that goes into the cache for an hour.
        #expect(try highest("claude-sonnet-4-0") == 10 * 6000 + 2 * 15_000)
        #expect(try highest("claude-sonnet-4-5") == 1)
        #expect(throws: ModelUsageError.self) { try highest("other") }
    }

    @Test(
        "an error names the entry and the member",
        arguments: [
            ("", "the document ends"), ("[]", "expected an object"), ("{}", "unknown_model"),
            (#"{"source":"s","date":"2026-11-30","unknown_model":"free","models":[]}"#, "'unknown_model'"),
            (#"{"source":"s","date":"soon","unknown_model":"refuse","models":[]}"#, "'date'"),
            (#"{"source":"","date":"2026-11-30","unknown_model":"refuse","models":[]}"#, "'source'"),
            (#"{\#(Self.head),"models":{}}"#, "'models'"), (#"{\#(Self.head)}"#, "'models'"),
            (#"{\#(Self.head),"models":[],"extra":1}"#, "'extra'"), (#"{\#(Self.head),"models":[7]}"#, "models[0]"),
            (
                #"{\#(Self.head),"models":[{"provider":"x","model":"m","input":1,"output":1}]}"#,
                "models[0] (m): 'provider'"
            ),
            (#"{\#(Self.head),"models":[{"provider":"openai","model":"a*b","input":1,"output":1}]}"#, "'model'"),
            (#"{\#(Self.head),"models":[{"provider":"openai","model":"","input":1,"output":1}]}"#, "'model'"),
            (#"{\#(Self.head),"models":[{"provider":"openai","model":"m","output":1}]}"#, "'input'"),
            (#"{\#(Self.head),"models":[{"provider":"openai","model":"m","input":1}]}"#, "'output'"),
            (#"{\#(Self.head),"models":[{"provider":"openai","model":"m","input":-1,"output":1}]}"#, "'input'"),
            (#"{\#(Self.head),"models":[{"provider":"openai","model":"m","input":1.5,"output":1}]}"#, "'input'"),
            (
                #"{\#(Self.head),"models":[{"provider":"openai","model":"m","input":1,"output":100000000001}]}"#,
                "'output'"
            ),
            (
                #"{\#(Self.head),"models":[{"provider":"openai","model":"m","input":1,"output":1,"imput":1}]}"#,
                "'imput'"
            ),
            (
                #"{\#(Self.head),"models":[{"provider":"openai","model":"m","input":1,"output":1,"tiers":{"x":10001}}]}"#,
                "'x'"
            ),
            (
                #"{\#(Self.head),"models":[{"provider":"openai","model":"m","input":1,"output":1,"tiers":[]}]}"#,
                "'tiers'"
            ),
            (
                #"{\#(Self.head),"models":[{"provider":"openai","model":"m","input":1,"output":1,"long_input":{"above":1,"input":1}}]}"#,
                "'long_input': 'output'"
            ),
            (#"{\#(Self.head),"models":[\#(Self.gpt),\#(Self.gpt)]}"#, "twice"),
        ])
    func errors(text: String, part: String) {
        let error = #expect(throws: ModelUsageError.self) { try PriceTable(json: Array(text.utf8), file: "p.json") }
        #expect(error?.code == .malformedPrices)
        #expect(error?.message.contains("p.json") == true)
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    }

    @Test("the shipped table can be read, and does not give anything away")
    func shipped() throws {
        let path =
            URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path + "/Policies/models/prices.json"
        let data = try Data(contentsOf: URL(filePath: path))
        let table = try PriceTable(json: Array(data), file: "prices.json")
        #expect(table.entries.count > 10)
        #expect(table.entries.allSatisfy { $0.prices.input > 0 && $0.prices.output >= $0.prices.input })
        #expect(table.entry(provider: .anthropic, model: "claude-opus-4-5-20251101")?.prices.output == 25_000_000)
        #expect(table.entry(provider: .anthropic, model: "claude-opus-4-1")?.prices.output == 75_000_000)
    }
}
