extension TerminalScreen {
    /// One cell: a scalar, or the index of an entry of the join table, with flags above.
    enum Cell {
        static let blank: UInt32 = 0x20
        /// The second half of a wide character. It is no text of its own.
        static let padding: UInt32 = 0x8000_0000
        static let wide: UInt32 = 0x4000_0000
        static let joined: UInt32 = 0x2000_0000
        static let index: UInt32 = 0x001F_FFFF
    }

    /// The cells of one screen. Rows are reached through `order`, so that scrolling moves indices and not cells.
    struct Grid {
        private(set) var columns: Int
        private(set) var rows: Int
        private(set) var cells: [UInt32]
        /// The place in `cells` of each visible row.
        private var order: [Int]
        /// By place: the row ended in an automatic wrap, which lets a backspace go back over its end.
        private var wrapped: [Bool]
        /// By place: cells from here on are blank. It keeps the clearing of short lines cheap.
        private var used: [Int]
        /// By place: the row may hold wide characters or padding.
        private var mixed: [Bool]

        init(columns: Int, rows: Int) {
            self.columns = columns
            self.rows = rows
            self.cells = Array(repeating: Cell.blank, count: columns * rows)
            self.order = Array(0..<rows)
            self.wrapped = Array(repeating: false, count: rows)
            self.used = Array(repeating: 0, count: rows)
            self.mixed = Array(repeating: false, count: rows)
        }

        func cell(row: Int, column: Int) -> UInt32 {
            self.cells[self.order[row] * self.columns + column]
        }

        mutating func set(row: Int, column: Int, _ cell: UInt32) {
            let place = self.order[row]
            self.cells[place * self.columns + column] = cell
            if column >= self.used[place] { self.used[place] = column + 1 }
            if cell & (Cell.padding | Cell.wide) != 0 { self.mixed[place] = true }
        }

        func isMixed(row: Int) -> Bool {
            self.mixed[self.order[row]]
        }

        func isWrapped(row: Int) -> Bool {
            self.wrapped[self.order[row]]
        }

        mutating func setWrapped(row: Int, _ isWrapped: Bool) {
            self.wrapped[self.order[row]] = isWrapped
        }

        /// Writes the printable ASCII that `bytes` has from `start` on, up to the end of the row, and returns how
        /// many characters that was.
        mutating func write(_ bytes: borrowing Span<UInt8>, from start: Int, row: Int, column: Int) -> Int {
            let place = self.order[row]
            let base = place * self.columns + column
            let limit = min(self.columns - column, bytes.count - start)
            var count = 0
            var target = self.cells.mutableSpan
            while count < limit {
                let byte = bytes[start + count]
                if byte &- 0x20 > 0x5E { break }
                target[base + count] = UInt32(byte)
                count += 1
            }
            self.used[place] = max(self.used[place], column + count)
            return count
        }

        mutating func fill(_ cell: UInt32) {
            self.overwrite(0..<self.cells.count, cell)
            for place in 0..<self.rows {
                self.used[place] = self.columns
                self.mixed[place] = false
            }
        }

        /// Blanks a part of one row, given by columns.
        mutating func blank(row: Int, _ range: Range<Int>) {
            let place = self.order[row]
            let used = self.used[place]
            let base = place * self.columns
            let end = min(range.upperBound, used)
            if range.lowerBound < end { self.overwrite((base + range.lowerBound)..<(base + end), Cell.blank) }
            if range.upperBound >= used { self.used[place] = min(used, range.lowerBound) }
            if self.used[place] == 0 { self.mixed[place] = false }
        }

        /// Blanks `count` columns of one row; a full row also loses its wrap mark.
        mutating func clear(row: Int, column: Int, count: Int) {
            guard count > 0 else { return }
            if column == 0 && count == self.columns {
                self.clearRows(from: row, count: 1)
            } else {
                self.blank(row: row, column..<min(column + count, self.columns))
            }
        }

        /// Blanks whole rows. The row above no longer continues into them.
        mutating func clearRows(from row: Int, count: Int) {
            guard count != 0, row >= 0, row < self.rows, row + count <= self.rows else { return }
            if count > 0 {
                for index in row..<(row + count) { self.reset(row: index) }
            }
            if row > 0 { self.setWrapped(row: row - 1, false) }
        }

        /// Moves rows, blanks those that were left, and takes away the wrap marks at the seams.
        mutating func moveRows(from source: Int, to target: Int, count: Int) {
            guard count > 0, source != target, source >= 0, target >= 0 else { return }
            guard source + count <= self.rows, target + count <= self.rows else { return }
            if target > 0 { self.setWrapped(row: target - 1, false) }
            let shift = abs(source - target)
            if shift >= count {
                for index in 0..<count {
                    self.order.swapAt(source + index, target + index)
                    self.reset(row: source + index)
                }
            } else if target < source {
                self.rotate(from: target, to: source + count, left: shift)
                for index in (target + count)..<(source + count) { self.reset(row: index) }
            } else {
                self.rotate(from: source, to: target + count, left: count)
                for index in source..<target { self.reset(row: index) }
            }
            if source > 0 && (source < target || source >= target + count) {
                self.setWrapped(row: source - 1, false)
            }
        }

        /// Moves the rows of a region up by one and blanks the last.
        mutating func scrollUp(top: Int, bottom: Int) {
            let first = self.order[top]
            var index = top
            while index < bottom {
                self.order[index] = self.order[index + 1]
                index += 1
            }
            self.order[bottom] = first
            self.reset(row: bottom)
        }

        /// Moves the rows of a region up by `count` and blanks those that come free.
        mutating func scrollUp(top: Int, bottom: Int, count: Int) {
            self.rotate(from: top, to: bottom + 1, left: count)
            for row in (bottom + 1 - count)...bottom { self.reset(row: row) }
        }

        /// Moves the rows of a region down by `count` and blanks those that come free.
        mutating func scrollDown(top: Int, bottom: Int, count: Int) {
            self.rotate(from: top, to: bottom + 1, left: bottom + 1 - top - count)
            for row in top..<(top + count) { self.reset(row: row) }
        }

        /// Makes room for `count` cells. Cells pushed over the end are lost. With no room to move anything tmux
        /// leaves the cells as they are.
        mutating func insertCells(row: Int, column: Int, count: Int) {
            if column >= self.columns - 1 {
                self.clear(row: row, column: column, count: min(1, self.columns - column))
                return
            }
            let moved = self.columns - column - count
            guard moved > 0 else { return }
            let place = self.order[row]
            guard self.used[place] > column else { return }
            let base = place * self.columns
            var index = moved - 1
            while index >= 0 {
                self.cells[base + column + count + index] = self.cells[base + column + index]
                index -= 1
            }
            self.used[place] = min(self.used[place] + count, self.columns)
            for index in column..<(column + min(count, moved)) { self.cells[base + index] = Cell.blank }
        }

        /// Takes cells out and blanks those that come free at the end.
        mutating func deleteCells(row: Int, column: Int, count: Int) {
            let place = self.order[row]
            guard self.used[place] > column else { return }
            let base = place * self.columns
            let moved = max(self.columns - column - count, 0)
            for index in 0..<moved {
                self.cells[base + column + index] = self.cells[base + column + count + index]
            }
            if column + moved < self.columns { self.blank(row: row, (column + moved)..<self.columns) }
        }

        mutating func resize(columns: Int, rows: Int, dropping: Int) {
            var other = Grid(columns: columns, rows: rows)
            for row in 0..<rows {
                let from = row + dropping
                guard from < self.rows else { break }
                let place = self.order[from]
                for column in 0..<min(self.used[place], columns) {
                    other.set(row: row, column: column, self.cells[place * self.columns + column])
                }
                other.setWrapped(row: row, self.wrapped[place])
            }
            self = other
        }

        mutating func replaceCells(_ change: (UInt32) -> UInt32) {
            for index in self.cells.indices { self.cells[index] = change(self.cells[index]) }
        }

        func text(ofRow row: Int, joins: JoinTable) -> String {
            let place = self.order[row]
            let base = place * self.columns
            var text: [UInt8] = []
            text.reserveCapacity(self.used[place])
            for index in base..<(base + self.used[place]) {
                let cell = self.cells[index]
                if cell < 0x80 {
                    text.append(UInt8(truncatingIfNeeded: cell))
                } else if cell != Cell.padding {
                    joins.append(cell, to: &text)
                }
            }
            while text.last == 0x20 { text.removeLast() }
            return String(decoding: text, as: UTF8.self)
        }

        private mutating func reset(row: Int) {
            let place = self.order[row]
            let base = place * self.columns
            self.overwrite(base..<(base + self.used[place]), Cell.blank)
            self.used[place] = 0
            self.wrapped[place] = false
            self.mixed[place] = false
        }

        private mutating func overwrite(_ range: Range<Int>, _ cell: UInt32) {
            var target = self.cells.mutableSpan
            for index in range { target[index] = cell }
        }

        private mutating func rotate(from start: Int, to end: Int, left count: Int) {
            self.reverse(start, start + count)
            self.reverse(start + count, end)
            self.reverse(start, end)
        }

        private mutating func reverse(_ start: Int, _ end: Int) {
            var low = start
            var high = end - 1
            while low < high {
                self.order.swapAt(low, high)
                low += 1
                high -= 1
            }
        }
    }

    /// The scalars that were joined to cells. An entry adds one scalar to a cell or to an earlier entry and never
    /// changes, so cells can be copied and moved freely. Entries that no cell uses any more are collected when the
    /// table is full.
}
