internal import Audit
internal import Domain
internal import Hummingbird
internal import Policy

extension Endpoint {
    static let plans = [
        Endpoint(
            method: .post, path: "/ai/plan",
            summary:
                "Previews the decisions about a list of steps, and an order in which they could run. Runs nothing.",
            body: Schema.reference("PlanRequest"),
            answers: [Answer(status: 200, text: "The decisions.", schema: Schema.reference("Plan"))],
            problems: [408, 409, 413, 415], handler: .guarded(.previewPlan, Self.preview))
    ]

    private static func preview(_ call: Call) async throws -> Response {
        var body = try await call.body()
        let plan = try Plan(&body)
        try body.finish()
        try call.note(params: plan.source)
        var isAllowed = true
        let steps: [JSONValue] = plan.steps.map { step in
            switch call.services.policy.decide(step.action, params: step.params).decision {
            case .allow(let rule):
                return ["id": .string(step.id), "decision": "allow", "rule": .string(rule), "reason": ""]
            case .deny(let denial):
                isAllowed = false
                // A client that may not use an action does not learn whether it exists.
                let reason =
                    denial.kind == .notAllowed
                    ? "the action '\(step.action)' is not allowed in this workspace" : denial.reason
                let rule = denial.kind == .notAllowed ? "allow-list" : denial.rule
                return [
                    "id": .string(step.id), "decision": "deny", "rule": .string(rule), "reason": .string(reason),
                ]
            }
        }
        return .json([
            "allowed": .bool(isAllowed), "steps": .array(steps), "order": .array(plan.order.map { .string($0) }),
        ])
    }
}
