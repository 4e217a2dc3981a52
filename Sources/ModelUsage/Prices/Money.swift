/// An amount of money in billionths of a US dollar. Integer arithmetic only; a sum that does not fit is the largest amount.
package struct Money: Hashable, Comparable, Sendable {
    package let nanodollars: UInt64

    /// Takes the amount as given.
    package init(nanodollars: UInt64) { self.nanodollars = nanodollars }

    package static let zero = Money(nanodollars: 0)

    /// The amount in millionths of a dollar, rounded up.
    package var microdollars: UInt64 { self.nanodollars.dividedRoundingUp(by: 1000) }

    /// Compares the amounts.
    package static func < (left: Self, right: Self) -> Bool { left.nanodollars < right.nanodollars }

    /// Adds two amounts.
    package static func + (left: Self, right: Self) -> Self {
        Money(nanodollars: left.nanodollars.addingSaturated(right.nanodollars))
    }
}
