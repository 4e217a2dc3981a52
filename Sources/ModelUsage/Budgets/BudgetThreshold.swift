/// A limit has reached a share that is reported, once for each counter and share. When one call passes several shares, the
/// highest one is reported.
package struct BudgetThreshold: Hashable, Sendable {
    /// The shares that are reported, in percent.
    package static let levels: [UInt64] = [80, 95, 100]

    package let counter: BudgetCounter.Key
    package let percent: UInt64
    package let spent: UInt64
    package let amount: UInt64

    /// Takes the parts as given.
    package init(counter: BudgetCounter.Key, percent: UInt64, spent: UInt64, amount: UInt64) {
        self.counter = counter
        self.percent = percent
        self.spent = spent
        self.amount = amount
    }
}
