/// Who makes a call: a value for each scope, and the run.
package struct BudgetSubject: Hashable, Sendable {
    package let tenant: String
    package let workspace: String
    /// The agent definition.
    package let definition: String
    package let job: String
    /// One run of the job.
    package let run: String

    /// Takes the names as given.
    package init(tenant: String, workspace: String, definition: String, job: String, run: String) {
        self.tenant = tenant
        self.workspace = workspace
        self.definition = definition
        self.job = job
        self.run = run
    }

    /// The name in a scope.
    package func name(in scope: BudgetScope) -> String {
        switch scope {
        case .tenant: self.tenant
        case .workspace: self.workspace
        case .definition: self.definition
        case .job: self.job
        }
    }
}
