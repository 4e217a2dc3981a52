/// Whose calls a limit counts together.
package enum BudgetScope: String, CaseIterable, Hashable, Sendable {
    case tenant, workspace, definition, job
}
