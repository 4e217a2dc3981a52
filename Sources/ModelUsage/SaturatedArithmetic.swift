extension UInt64 {
    /// The sum, or the largest number there is when the sum does not fit.
    package func addingSaturated(_ other: UInt64) -> UInt64 {
        let (sum, overflows) = self.addingReportingOverflow(other)
        return overflows ? .max : sum
    }

    /// The product, or the largest number there is when the product does not fit.
    package func multipliedSaturated(by other: UInt64) -> UInt64 {
        let (product, overflows) = self.multipliedReportingOverflow(by: other)
        return overflows ? .max : product
    }

    /// The difference, or zero when `other` is larger.
    func subtractingSaturated(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }

    /// The quotient, rounded up; the number itself for a divisor of zero.
    func dividedRoundingUp(by divisor: UInt64) -> UInt64 {
        guard divisor > 0 else { return self }
        return self / divisor + (self % divisor == 0 ? 0 : 1)
    }
}
