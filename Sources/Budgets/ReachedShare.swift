package import ModelUsage

/// A share of a limit that was reached, and whose call reached it: it may be found by a call of another workspace.
package struct ReachedShare: Hashable, Sendable {
    package let threshold: BudgetThreshold
    package let workspace: String
}
