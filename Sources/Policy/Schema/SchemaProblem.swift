/// What does not fit, where, and what was expected; the place is built from the inside on the way out.
struct SchemaProblem {
    private var steps: [String] = []
    let expectation: String

    init(_ expectation: String) { self.expectation = expectation }

    /// The same, seen from one level further out.
    func inside(_ step: String) -> SchemaProblem {
        var problem = self
        problem.steps.append(step)
        return problem
    }

    func text(at path: String) -> String { "\(path)\(self.steps.reversed().joined()) \(self.expectation)" }
}
