internal import Domain

/// A finite JSON number, compared and divided without the rounding that turning one kind into the other would bring.
enum ExactNumber: Sendable {
    case integer(Int64)
    case real(Double)

    /// Nil for what is not a number, or not finite.
    init?(_ value: JSONValue) {
        switch value {
        case .integer(let number): self = .integer(number)
        case .number(let number) where number.isFinite: self = .real(number)
        default: return nil
        }
    }

    private static let limit = 0x1p63

    static func < (left: ExactNumber, right: ExactNumber) -> Bool {
        switch (left, right) {
        case (.integer(let left), .integer(let right)): return left < right
        case (.real(let left), .real(let right)): return left < right
        case (.integer(let left), .real(let right)):
            guard right < Self.limit else { return true }
            guard right >= -Self.limit else { return false }
            let floor = right.rounded(.down)
            let whole = Int64(floor)
            return left < whole || left == whole && floor < right
        case (.real(let left), .integer(let right)):
            guard left < Self.limit else { return false }
            guard left >= -Self.limit else { return true }
            return Int64(left.rounded(.down)) < right
        }
    }

    /// For a message.
    var text: String {
        switch self {
        case .integer(let number): String(number)
        case .real(let number): String(number)
        }
    }

    var isPositive: Bool {
        switch self {
        case .integer(let number): number > 0
        case .real(let number): number > 0
        }
    }

    /// Whether the number is a whole multiple of another, both taken as the decimals that they are written as: 0.3 is
    /// three times 0.1, which no division of binary fractions says.
    func isMultiple(of divisor: ExactNumber) -> Bool {
        guard let number = self.decimal, let unit = divisor.decimal, unit.digits > 0 else { return false }
        guard number.digits > 0 else { return true }
        var shift = number.exponent - unit.exponent
        guard shift < 0 else {
            // digits × 10^shift modulo the unit's digits: no power is ever written out.
            var rest = number.digits % unit.digits
            while shift > 0, rest > 0 {
                rest = Self.product(rest, 10 % unit.digits, modulo: unit.digits)
                shift -= 1
            }
            return rest == 0
        }
        var scaled = unit.digits
        while shift < 0 {
            let (product, hasOverflown) = scaled.multipliedReportingOverflow(by: 10)
            // What is larger than the number does not divide it.
            guard !hasOverflown else { return false }
            scaled = product
            shift += 1
        }
        return number.digits % scaled == 0
    }

    /// Both factors are below the modulus, so the quotient fits.
    private static func product(_ left: UInt64, _ right: UInt64, modulo modulus: UInt64) -> UInt64 {
        modulus.dividingFullWidth(left.multipliedFullWidth(by: right)).remainder
    }

    /// The absolute value as digits × 10^exponent, for a double its shortest text that reads back as the same.
    private var decimal: (digits: UInt64, exponent: Int)? {
        switch self {
        case .integer(let number): return (number.magnitude, 0)
        case .real(let number): return Self.decimal(of: number)
        }
    }

    private static func decimal(of number: Double) -> (digits: UInt64, exponent: Int)? {
        let parts = number.magnitude.description.utf8.split(separator: UInt8(ascii: "e"))
        guard let mantissa = parts.first else { return nil }
        var digits: UInt64 = 0
        var exponent = 0
        var isFraction = false
        for byte in mantissa {
            guard byte != UInt8(ascii: ".") else {
                isFraction = true
                continue
            }
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            let (tenfold, isTooLarge) = digits.multipliedReportingOverflow(by: 10)
            let (sum, hasOverflown) = tenfold.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            guard !isTooLarge, !hasOverflown else { return nil }
            digits = sum
            exponent -= isFraction ? 1 : 0
        }
        guard parts.count > 1 else { return (digits, exponent) }
        guard let power = Int(Substring(parts[1])) else { return nil }
        return (digits, exponent + power)
    }
}
