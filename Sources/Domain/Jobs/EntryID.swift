/// The ID of a stream entry: the time at which Redis added it, and a sequence number within that millisecond.
package struct EntryID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let milliseconds: UInt64
    package let sequence: UInt64

    /// Takes milliseconds since the epoch and a sequence number as given.
    package init(milliseconds: UInt64, sequence: UInt64) {
        self.milliseconds = milliseconds
        self.sequence = sequence
    }

    /// Parses `1700000000000-0`; returns nil for anything else. Parsed by hand, because this runs for every delivery.
    package init?(text: ArraySlice<UInt8>) {
        var numbers: (UInt64, UInt64) = (0, 0)
        var hasBar = false
        var digits = 0
        for byte in text {
            if byte == UInt8(ascii: "-"), !hasBar, digits > 0 {
                (hasBar, digits) = (true, 0)
                (numbers.1, numbers.0) = (numbers.0, 0)
                continue
            }
            // Nineteen digits always fit.
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), digits < 19 else { return nil }
            numbers.0 = numbers.0 * 10 + UInt64(byte - UInt8(ascii: "0"))
            digits += 1
        }
        guard hasBar, digits > 0 else { return nil }
        self.init(milliseconds: numbers.1, sequence: numbers.0)
    }

    package var description: String { "\(self.milliseconds)-\(self.sequence)" }

    /// Orders IDs by time, then by sequence number.
    package static func < (left: EntryID, right: EntryID) -> Bool {
        (left.milliseconds, left.sequence) < (right.milliseconds, right.sequence)
    }
}
