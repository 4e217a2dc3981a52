internal import Domain

/// Why a call was not admitted: the first limit, in the order of the ledger, that has no space for it.
package struct BudgetRefusal: Hashable, Sendable {
    package let limit: BudgetLimit
    /// Whose counter it is.
    package let name: String
    package let spent: UInt64
    package let reserved: UInt64
    /// What the call would have reserved.
    package let requested: UInt64
    /// When the limit starts again, in milliseconds since the epoch; nil for a run.
    package let resetsAt: UInt64?

    /// Takes the parts as given.
    package init(
        limit: BudgetLimit, name: String, spent: UInt64, reserved: UInt64, requested: UInt64, resetsAt: UInt64?
    ) {
        self.limit = limit
        self.name = name
        self.spent = spent
        self.reserved = reserved
        self.requested = requested
        self.resetsAt = resetsAt
    }

    /// A sentence for the caller: which limit, how much is used, when it starts again, whom to ask.
    package var message: String {
        let unit = self.limit.unit
        let reset = self.resetsAt.map { "starts again at \(RFC3339.secondsText(of: $0))" } ?? "ends with the run"
        return "the budget '\(self.limit.id)' of \(self.limit.scope.rawValue) '\(Printable.text(self.name))' is spent: "
            + "\(unit.text(of: self.spent)) are used of \(unit.text(of: self.limit.amount)), "
            + "\(unit.text(of: self.reserved)) are reserved, and the call needs up to \(unit.text(of: self.requested)); "
            + "the budget \(reset). Ask the operator to raise it."
    }
}
