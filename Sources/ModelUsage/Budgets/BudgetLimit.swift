/// One limit: how much of a unit a subject may use in a window.
package struct BudgetLimit: Hashable, Sendable {
    /// Names the limit in refusals and events; unique in a ledger.
    package let id: String
    package let scope: BudgetScope
    /// The tenant, workspace, agent definition or job that is limited; nil for a limit that each one has for itself.
    package let name: String?
    package let window: BudgetWindow
    package let unit: BudgetUnit
    package let amount: UInt64

    /// Takes the values as given.
    package init(
        id: String, scope: BudgetScope, name: String? = nil, window: BudgetWindow, unit: BudgetUnit, amount: UInt64
    ) {
        self.id = id
        self.scope = scope
        self.name = name
        self.window = window
        self.unit = unit
        self.amount = amount
    }

    /// Whether the limit counts the calls of a subject.
    package func covers(_ subject: BudgetSubject) -> Bool {
        self.name.map { $0 == subject.name(in: self.scope) } ?? true
    }
}
