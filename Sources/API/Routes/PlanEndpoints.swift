internal import Audit
internal import Domain
internal import Hummingbird
internal import Policy

extension Endpoint {
    static let plans = [
        Endpoint(
            method: .post, path: "/ai/plan",
            summary: "Says how a list of steps would be decided, and in which order they could run. Runs nothing.",
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
                // Which actions there are is not told to who may not use them.
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

/// Steps with what each waits for.
struct Plan {
    struct Step: Sendable {
        let id: String
        let action: ActionName
        /// As the client wrote them.
        let params: [UInt8]
        let dependencies: [String]
    }

    let steps: [Step]
    /// The params of all steps as a list, each as the client wrote it.
    var source: [UInt8] {
        Array("[".utf8) + self.steps.map(\.params).joined(separator: Array(",".utf8)) + Array("]".utf8)
    }
    /// The steps' ids so that each comes after those it depends on; what may come in any order keeps the plan's.
    let order: [String]

    static let limit = 100

    /// Throws a `Problem` for steps that do not fit together.
    init(_ body: inout BodyReader) throws {
        guard let list = try body.list("steps"), (1...Self.limit).contains(list.count) else {
            throw Problem(.invalid, "'steps' must be a list of 1 to \(Self.limit) steps")
        }
        var steps: [Step] = []
        for (index, value) in list.enumerated() {
            guard value.value.members != nil else { throw Problem(.invalid, "step \(index + 1) must be an object") }
            var reader = BodyReader(value)
            let id = try Input.name(try reader.text("id")).name
            let dependencies = try (try reader.list("depends_on") ?? []).map { item in
                guard let name = item.value.string else {
                    throw Problem(.invalid, "'depends_on' of step '\(id)' must be a list of steps' ids")
                }
                return name
            }
            steps.append(
                Step(
                    id: id, action: try Input.action(try reader.text("action")), params: try reader.object("params"),
                    dependencies: dependencies))
            try reader.finish()
        }
        self.steps = steps
        self.order = try Self.order(of: steps)
    }

    private static func order(of steps: [Step]) throws -> [String] {
        let names = Set(steps.map(\.id))
        guard names.count == steps.count else { throw Problem(.conflict, "two steps have one id") }
        for step in steps {
            guard Set(step.dependencies).count == step.dependencies.count else {
                throw Problem(.conflict, "step '\(step.id)' depends on one step twice")
            }
            for name in step.dependencies where !names.contains(name) {
                throw Problem(
                    .conflict, "step '\(step.id)' depends on '\(Printable.text(name, limit: 63))', which is no step")
            }
        }
        var (order, done): ([String], Set<String>) = ([], [])
        while order.count < steps.count {
            let ready = steps.filter { !done.contains($0.id) && $0.dependencies.allSatisfy(done.contains) }
            guard !ready.isEmpty else {
                let left = steps.map(\.id).filter { !done.contains($0) }.joined(separator: ", ")
                throw Problem(.conflict, "the steps depend on each other in a circle: \(left)")
            }
            order += ready.map(\.id)
            done.formUnion(ready.map(\.id))
        }
        return order
    }
}
