import CoreMetrics
import Domain
import ModelUsage

/// Counts what sandboxes ask of the network. No workspace, job or model is a label.
struct EgressMetrics: Sendable {
    let factory: any MetricsFactory

    /// Counts one event: a decision, or what a call of a model has used at its end.
    func record(_ event: JSONValue, isAllowed: Bool, cost: Money?) {
        guard event["phase"] == "ended" else {
            let decision = isAllowed ? "allowed" : "denied"
            self.counter(
                "orchestra_egress_requests_total", [("door", event["door"]?.string ?? "none"), ("decision", decision)]
            ).increment(by: event["count"]?.integer ?? 1)
            return
        }
        guard let model = event["model"], let usage = model["usage"], usage != .null else { return }
        let provider = model["provider"]?.string ?? "none"
        for kind in ["input", "output", "cache_read", "cache_write"] {
            let tokens = usage[kind]?.integer ?? 0
            guard tokens > 0 else { continue }
            self.counter("orchestra_model_tokens_total", [("provider", provider), ("kind", kind)])
                .increment(by: tokens)
        }
        guard let cost, cost > .zero else { return }
        self.counter("orchestra_model_cost_microdollars_total", [("provider", provider)])
            .increment(by: Int64(clamping: cost.microdollars))
    }

    /// Counts a share of a budget that was reached.
    func reached(_ threshold: BudgetThreshold) {
        self.counter("orchestra_budget_shares_total", [("percent", "\(threshold.percent)")]).increment(by: 1)
    }

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> any CounterHandler {
        self.factory.makeCounter(label: label, dimensions: dimensions)
    }
}
