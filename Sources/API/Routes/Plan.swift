internal import Domain

/// Steps, each with those it depends on.
struct Plan {
    struct Step: Sendable {
        let id: String
        let action: ActionName
        /// As the client wrote them.
        let params: [UInt8]
        let dependencies: [String]
    }

    let steps: [Step]
    /// The steps' ids, each after those it depends on; steps that may come in any order keep the plan's.
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

    /// The params of all steps as a list, each as the client wrote it.
    var source: [UInt8] {
        Array("[".utf8) + self.steps.map(\.params).joined(separator: Array(",".utf8)) + Array("]".utf8)
    }

    private static func order(of steps: [Step]) throws -> [String] {
        let names = Set(steps.map(\.id))
        guard names.count == steps.count else { throw Problem(.conflict, "two steps have the same id") }
        for step in steps {
            guard Set(step.dependencies).count == step.dependencies.count else {
                throw Problem(.conflict, "step '\(step.id)' depends on one step twice")
            }
            for name in step.dependencies where !names.contains(name) {
                throw Problem(
                    .conflict, "step '\(step.id)' depends on '\(Printable.text(name, limit: 63))', which is not a step")
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
