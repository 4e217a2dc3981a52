extension TerminalScreen {
    /// The quick path: writes the run of printable ASCII at `start`, up to the end of the row, and returns its
    /// length.
    mutating func printRun(_ bytes: borrowing Span<UInt8>, from start: Int) -> Int {
        self.decoder.reset()
        if self.column >= self.columns { self.wrapLine() }
        let isMixed = self.grid.isMixed(row: self.row)
        if isMixed { self.clearLeftHalf() }
        let count = self.grid.write(bytes, from: start, row: self.row, column: self.column)
        self.column += count
        if isMixed { self.clearPadding(from: self.column) }
        self.lastPrinted = bytes[start + count - 1]
        return count
    }

    mutating func printASCII(_ byte: UInt8) {
        self.decoder.reset()
        self.lastPrinted = byte
        if self.charsets.isDrawing || !self.wrapMode || self.insertMode {
            if self.joinNext {
                self.joinAfterJoiner(Unicode.Scalar(byte))
            } else {
                self.put(self.charsets.isDrawing ? Self.lineDrawing(byte) : UInt32(byte), width: 1)
            }
        } else {
            if self.column >= self.columns { self.wrapLine() }
            if self.grid.isMixed(row: self.row) { self.clearLeftHalf() }
            self.grid.set(row: self.row, column: self.column, UInt32(byte))
            self.column += 1
            if self.grid.isMixed(row: self.row) { self.clearPadding(from: self.column) }
        }
    }

    mutating func repeatLast(_ count: Int) {
        guard let byte = self.lastPrinted else { return }
        // REP never goes beyond the row it begins on.
        for _ in 0..<min(count, self.columns - self.column) { self.printASCII(byte) }
    }

    mutating func printUTF8(_ byte: UInt8) {
        self.lastPrinted = nil
        guard let scalar = self.decoder.take(byte), let width = Self.width(of: scalar) else { return }
        if scalar == Self.zeroWidthJoiner {
            self.joinNext = true
        } else if self.joinNext {
            self.joinAfterJoiner(scalar)
        } else if width == 0 {
            self.join(scalar)
        } else {
            self.put(scalar.value, width: width)
        }
    }

    static let zeroWidthJoiner: Unicode.Scalar = "\u{200D}"

    mutating func joinAfterJoiner(_ scalar: Unicode.Scalar) {
        self.joinNext = false
        self.join(Self.zeroWidthJoiner)
        self.join(scalar)
    }

    /// Adds a scalar to the character to the left of the cursor.
    mutating func join(_ scalar: Unicode.Scalar) {
        var column = self.column - 1
        while column >= 0 {
            let cell = self.grid.cell(row: self.row, column: column)
            if cell != Cell.padding {
                if self.joins.needsCollection(cells: self.columns * self.rows) {
                    self.joins.collect(&self.grid, &self.saved)
                    // The index of the cell may have changed.
                    self.join(scalar, row: self.row, column: column)
                } else if let joined = self.joins.join(cell, scalar) {
                    self.grid.set(row: self.row, column: column, joined)
                }
                return
            }
            column -= 1
        }
    }

    mutating func join(_ scalar: Unicode.Scalar, row: Int, column: Int) {
        let cell = self.grid.cell(row: row, column: column)
        if let joined = self.joins.join(cell, scalar) { self.grid.set(row: row, column: column, joined) }
    }

    /// Writes one character with all that the quick path leaves out: wide characters, insert mode, no automatic wrap.
    mutating func put(_ value: UInt32, width: Int) {
        // Only a screen of one column is too narrow for a character.
        guard width <= self.columns else { return }
        let last = self.columns - width
        if !self.wrapMode && width > 1 && self.column != self.columns && self.column > last { return }
        // tmux makes the room before it wraps.
        if self.insertMode { self.grid.insertCells(row: self.row, column: self.column, count: width) }
        if self.wrapMode && self.column > last { self.wrapLine() }
        guard self.column <= last else { return }
        if self.grid.isMixed(row: self.row) { self.clearOverwritten(width: width) }
        if width == 2 {
            self.grid.set(row: self.row, column: self.column + 1, Cell.padding)
            self.grid.set(row: self.row, column: self.column, value | Cell.wide)
        } else {
            self.grid.set(row: self.row, column: self.column, value)
        }
        // Without automatic wrap the cursor stays on the last column.
        let end = self.wrapMode ? self.columns : self.columns - 1
        self.column = min(self.column + width, end)
    }

    /// Blanks the wide character whose second half the next character overwrites.
    mutating func clearLeftHalf() {
        var column = self.column
        while column > 0 {
            let cell = self.grid.cell(row: self.row, column: column)
            if cell != Cell.padding {
                if cell & Cell.wide != 0 { self.grid.set(row: self.row, column: column, Cell.blank) }
                return
            }
            self.grid.set(row: self.row, column: column, Cell.blank)
            column -= 1
        }
    }

    /// Blanks the second halves that lost their first half.
    mutating func clearPadding(from start: Int) {
        var column = start
        while column < self.columns && self.grid.cell(row: self.row, column: column) == Cell.padding {
            self.grid.set(row: self.row, column: column, Cell.blank)
            column += 1
        }
    }

    /// The same as `clearLeftHalf` and `clearPadding`, in the way of `put`, which tmux does slightly differently.
    mutating func clearOverwritten(width: Int) {
        let current = self.grid.cell(row: self.row, column: self.column)
        if current == Cell.padding {
            var column = self.column
            while column > 0 && self.grid.cell(row: self.row, column: column) == Cell.padding {
                self.grid.set(row: self.row, column: column, Cell.blank)
                column -= 1
            }
            self.grid.set(row: self.row, column: column, Cell.blank)
        }
        if width != 1 || current == Cell.padding || current & Cell.wide != 0 {
            self.clearPadding(from: self.column + width)
        }
    }

    /// The DEC line drawing set; other characters stay as they are.
    static func lineDrawing(_ byte: UInt8) -> UInt32 {
        switch byte {
        case 0x2B: return 0x2192
        case 0x2C: return 0x2190
        case 0x2D: return 0x2191
        case 0x2E: return 0x2193
        case 0x30: return 0x25AE
        case 0x60...0x7E: return Self.lineDrawingSet[Int(byte) - 0x60]
        default: return UInt32(byte)
        }
    }

    static let lineDrawingSet: [UInt32] = [
        0x25C6, 0x2592, 0x2409, 0x240C, 0x240D, 0x240A, 0x00B0, 0x00B1, 0x2424, 0x240B, 0x2518, 0x2510, 0x250C, 0x2514,
        0x253C, 0x23BA, 0x23BB, 0x2500, 0x23BC, 0x23BD, 0x251C, 0x2524, 0x2534, 0x252C, 0x2502, 0x2264, 0x2265, 0x03C0,
        0x2260, 0x00A3, 0x00B7,
    ]
}

extension TerminalScreen {
    /// How many cells a scalar takes, or nil if it is not shown at all.
    static func width(of scalar: Unicode.Scalar) -> Int? {
        let value = scalar.value
        switch value {
        case 0..<0xA0:
            return nil
        case 0xA0..<0x300, 0x400..<0x483, 0x2190..<0x231A, 0x2500..<0x25FD:
            return 1
        case 0x4E00..<0x9FFD, 0xAC00..<0xD7A4:
            return 2
        case 0x1160..<0x1200, 0xD7B0..<0xD7C7, 0xD7CB..<0xD7FC:
            // Vowels and finals of Hangul that complete the syllable before them.
            return 0
        case 0x600..<0x606, 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD:
            // Format characters that have a shape.
            return 1
        default:
            break
        }
        switch scalar.properties.generalCategory {
        case .unassigned, .control, .surrogate, .lineSeparator, .paragraphSeparator:
            return nil
        case .nonspacingMark, .enclosingMark, .format:
            return 0
        default:
            return Self.isWide(value) ? 2 : 1
        }
    }

    static func isWide(_ value: UInt32) -> Bool {
        var low = 0
        var high = Self.wideRanges.count / 2
        while low < high {
            let middle = (low + high) / 2
            if Self.wideRanges[middle * 2 + 1] < value {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low * 2 < Self.wideRanges.count && Self.wideRanges[low * 2] <= value
    }

    /// First and last scalar of the ranges that take two cells: East Asian wide characters and emoji.
    static let wideRanges: [UInt32] = [
        0x1100, 0x115F, 0x231A, 0x231B, 0x2329, 0x232A, 0x23E9, 0x23EC, 0x23F0, 0x23F0, 0x23F3, 0x23F3, 0x25FD, 0x25FE,
        0x2614, 0x2615, 0x2648, 0x2653, 0x267F, 0x267F, 0x2693, 0x2693, 0x26A1, 0x26A1, 0x26AA, 0x26AB, 0x26BD, 0x26BE,
        0x26C4, 0x26C5, 0x26CE, 0x26CE, 0x26D4, 0x26D4, 0x26EA, 0x26EA, 0x26F2, 0x26F3, 0x26F5, 0x26F5, 0x26FA, 0x26FA,
        0x26FD, 0x26FD, 0x2705, 0x2705, 0x270A, 0x270B, 0x2728, 0x2728, 0x274C, 0x274C, 0x274E, 0x274E, 0x2753, 0x2755,
        0x2757, 0x2757, 0x2795, 0x2797, 0x27B0, 0x27B0, 0x27BF, 0x27BF, 0x2B1B, 0x2B1C, 0x2B50, 0x2B50, 0x2B55, 0x2B55,
        0x2E80, 0x303E, 0x3041, 0xA4C6, 0xA960, 0xA97C, 0xAC00, 0xD7A3, 0xF900, 0xFAD9, 0xFE10, 0xFE6B, 0xFF01, 0xFF60,
        0xFFE0, 0xFFE6, 0x16FE0, 0x1B2FB, 0x1F004, 0x1F004, 0x1F0CF, 0x1F0CF, 0x1F18E, 0x1F18E, 0x1F191, 0x1F19A,
        0x1F200, 0x1F320, 0x1F32D, 0x1F335, 0x1F337, 0x1F37C, 0x1F37E, 0x1F393, 0x1F3A0, 0x1F3CA, 0x1F3CF, 0x1F3D3,
        0x1F3E0, 0x1F3F0, 0x1F3F4, 0x1F3F4, 0x1F3F8, 0x1F43E, 0x1F440, 0x1F440, 0x1F442, 0x1F4FC, 0x1F4FF, 0x1F53D,
        0x1F54B, 0x1F54E, 0x1F550, 0x1F567, 0x1F57A, 0x1F57A, 0x1F595, 0x1F596, 0x1F5A4, 0x1F5A4, 0x1F5FB, 0x1F64F,
        0x1F680, 0x1F6C5, 0x1F6CC, 0x1F6CC, 0x1F6D0, 0x1F6D2, 0x1F6D5, 0x1F6DF, 0x1F6EB, 0x1F6EC, 0x1F6F4, 0x1F6FC,
        0x1F7E0, 0x1F7F0, 0x1F90C, 0x1F93A, 0x1F93C, 0x1F945, 0x1F947, 0x1F9FF, 0x1FA70, 0x1FAFF, 0x20000, 0x3FFFD,
    ]
}
