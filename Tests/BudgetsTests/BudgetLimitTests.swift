import Domain
import ModelUsage
import Testing

@testable import Budgets

@Suite("Stored budgets")
struct BudgetLimitTests {
    @Test("a limit is read back as it was stored", arguments: BudgetScope.allCases, BudgetUnit.allCases)
    func roundTrip(_ scope: BudgetScope, _ unit: BudgetUnit) throws {
        for (name, window) in zip([nil, "acme"], [BudgetWindow.day, .run]) {
            let limit = BudgetLimit(id: "a", scope: scope, name: name, window: window, unit: unit, amount: 7)
            #expect(try BudgetLimit(id: "a", json: limit.json.bytes) == limit)
        }
    }

    @Test(
        "a limit that is not understood is an error, so that it is never ignored",
        arguments: [
            "", "{}", #"{"scope":"planet","window":"day","unit":"tokens","amount":1}"#,
            #"{"scope":"job","window":"week","unit":"tokens","amount":1}"#,
            #"{"scope":"job","window":"day","unit":"words","amount":1}"#,
            #"{"scope":"job","window":"day","unit":"tokens","amount":-1}"#,
            #"{"scope":"job","window":"day","unit":"tokens","amount":9007199254740992}"#,
        ])
    func malformed(_ text: String) {
        #expect(throws: ModelUsageError.self) { try BudgetLimit(id: "a", json: Array(text.utf8)) }
    }

    @Test("a counter's key is read back, and nothing else is one")
    func counter() {
        let limit = BudgetLimit(id: "a", scope: .job, window: .run, unit: .tokens, amount: 1)
        let subject = BudgetSubject(tenant: "t", workspace: "w", definition: "d", job: "j", run: "j/1")
        let key = BudgetLedger.key(of: limit, for: subject, at: 1)
        #expect(key.text == "a\nj\nj/1" && BudgetCounter.Key(text: key.text) == key)
        #expect(BudgetCounter.Key(text: "a\nb") == nil && BudgetCounter.Key(text: "a\nb\nc\nd") == nil)
    }
}
