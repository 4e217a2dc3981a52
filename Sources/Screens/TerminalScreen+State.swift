extension TerminalScreen {
    struct Position {
        var row: Int
        var column: Int
    }

    /// Whether G0 and G1 hold the DEC line drawing set, and which of them is in use.
    struct Charsets {
        var g0Drawing = false
        var g1Drawing = false
        var shifted = false

        var isDrawing: Bool {
            self.shifted ? self.g1Drawing : self.g0Drawing
        }
    }

    /// What ESC 7 stored.
    struct SavedCursor {
        var row = 0
        var column = 0
        var charsets = Charsets()
        var originMode = false

        /// A reset forgets the position and the sets; the origin mode survives it in tmux.
        mutating func forget() {
            self.row = 0
            self.column = 0
            self.charsets = Charsets()
        }
    }

    /// The states of the well-known DEC parser, with the additions that tmux makes for strings.
    enum State: UInt8 {
        case ground, escape, escapeIntermediate
        case csiEnter, csiParameter, csiIntermediate, csiIgnore
        case osc, swallow
        case dcsEnter, dcsParameter, dcsIntermediate, dcsBody, dcsEscape, dcsIgnore
    }

    /// The private marker and the intermediate bytes of a sequence.
    struct Intermediates {
        private(set) var first: UInt8 = 0
        private var second: UInt8 = 0
        private(set) var count = 0

        mutating func clear() {
            self.first = 0
            self.count = 0
        }

        mutating func add(_ byte: UInt8) {
            if self.count == 0 { self.first = byte }
            if self.count == 1 { self.second = byte }
            // No known sequence has more than two; the count only has to stay different from those.
            self.count = min(self.count + 1, 3)
        }

        /// The marker and the intermediate bytes; nil when there are more than any known sequence has.
        var text: String? {
            switch self.count {
            case 0: ""
            case 1: String(Unicode.Scalar(self.first))
            case 2: String(Unicode.Scalar(self.first)) + String(Unicode.Scalar(self.second))
            default: nil
            }
        }

        func isOnly(_ byte: UInt8) -> Bool {
            self.count == 1 && self.first == byte
        }
    }

    /// The numbers of a control sequence. The limits on their length and count are those of tmux, which ignores a
    /// sequence that goes beyond them.
    struct Parameters {
        private static let maximumBytes = 63
        private static let maximumCount = 23
        private static let maximumNumber = 2_147_483_647
        private static let maximumValue = 9999
        private static let missing = -1
        private static let text = -2

        private var values: [Int] = []
        private var bytes = 0
        private var current = Parameters.missing
        private(set) var isInvalid = false

        var count: Int {
            self.values.count
        }

        mutating func clear() {
            self.values.removeAll(keepingCapacity: true)
            self.bytes = 0
            self.current = Self.missing
            self.isInvalid = false
        }

        /// Takes a digit, a colon or a semicolon.
        mutating func add(_ byte: UInt8) {
            guard self.bytes < Self.maximumBytes, !self.isInvalid else {
                self.isInvalid = true
                return
            }
            self.bytes += 1
            switch byte {
            case 0x3B:
                self.close()
            case 0x3A:
                // Sub-parameters only occur in colours; such a parameter is not a number.
                self.current = Self.text
            default:
                if self.current == Self.text { return }
                // 63 bytes of digits must not overflow: stop just above the largest number that is accepted.
                let number = max(self.current, 0) * 10 + Int(byte & 0x0F)
                self.current = min(number, Self.maximumNumber + 1)
            }
        }

        /// Ends the list before the sequence is carried out.
        mutating func finish() {
            if self.bytes > 0 { self.close() }
        }

        /// The number at `index`, `missing` where it was left out, nil where it is not a number.
        func value(_ index: Int, minimum: Int, missing: Int) -> Int? {
            guard index < self.values.count else { return missing }
            let value = self.values[index]
            if value == Self.missing { return missing }
            if value == Self.text { return nil }
            return min(max(value, minimum), Self.maximumValue)
        }

        private mutating func close() {
            if self.current > Self.maximumNumber || self.values.count == Self.maximumCount {
                self.isInvalid = true
                return
            }
            self.values.append(self.current)
            self.current = Self.missing
        }
    }

    /// Collects the bytes of one UTF-8 character. Like tmux it takes as many bytes as the first one announces, even
    /// if one of them does not fit, and then drops them all.
    struct Decoder {
        private var value: UInt32 = 0
        private var size = 0
        private var have = 0
        private var isBad = false

        mutating func reset() {
            self.have = 0
        }

        mutating func take(_ byte: UInt8) -> Unicode.Scalar? {
            guard self.have > 0 else {
                self.open(byte)
                return nil
            }
            if byte & 0xC0 != 0x80 { self.isBad = true }
            self.value = self.value << 6 | UInt32(byte & 0x3F)
            self.have += 1
            guard self.have == self.size else { return nil }
            self.have = 0
            if self.isBad || (self.size == 3 && self.value < 0x800) || (self.size == 4 && self.value < 0x10000) {
                return nil
            }
            return Unicode.Scalar(self.value)
        }

        private mutating func open(_ byte: UInt8) {
            switch byte {
            case 0xC2...0xDF:
                self.size = 2
                self.value = UInt32(byte & 0x1F)
            case 0xE0...0xEF:
                self.size = 3
                self.value = UInt32(byte & 0x0F)
            case 0xF0...0xF4:
                self.size = 4
                self.value = UInt32(byte & 0x07)
            default:
                return
            }
            self.have = 1
            self.isBad = false
        }
    }
}
