extension TerminalScreen {
    func clampedRow(_ row: Int) -> Int {
        guard self.originMode else { return min(row, self.rows - 1) }
        return row > self.bottom - self.top ? self.bottom : row + self.top
    }

    mutating func move(row: Int, column: Int) {
        self.row = self.clampedRow(row)
        self.column = min(column, self.columns - 1)
    }

    /// The margins stop a cursor that is inside of them.
    mutating func moveUp(_ count: Int) {
        let limit = self.row < self.top ? 0 : self.top
        self.row -= min(count, self.row - limit)
        self.column = min(self.column, self.columns - 1)
    }

    mutating func moveDown(_ count: Int) {
        let limit = self.row > self.bottom ? self.rows - 1 : self.bottom
        self.row += min(count, limit - self.row)
        self.column = min(self.column, self.columns - 1)
    }

    mutating func setRegion(_ top: Int, _ bottom: Int) {
        let top = min(top, self.rows - 1)
        let bottom = min(bottom, self.rows - 1)
        guard top < bottom else { return }
        self.row = 0
        self.column = 0
        self.top = top
        self.bottom = bottom
    }

    mutating func backspace() {
        if self.column > 0 {
            self.column -= 1
        } else if self.row > 0 && self.grid.isWrapped(row: self.row - 1) {
            self.row -= 1
            self.column = self.columns - 1
        }
    }

    mutating func tabForward(_ count: Int) {
        for _ in 0..<count {
            guard self.column < self.columns - 1 else { return }
            repeat {
                self.column += 1
            } while self.column < self.columns - 1 && !self.tabs[self.column]
        }
    }

    mutating func tabBackward(_ count: Int) {
        self.column = min(self.column, self.columns - 1)
        for _ in 0..<count {
            guard self.column > 0 else { return }
            repeat {
                self.column -= 1
            } while self.column > 0 && !self.tabs[self.column]
        }
    }

    mutating func clearTabs(_ kind: Int) {
        if kind == 0 {
            if self.column < self.columns { self.tabs[self.column] = false }
        } else if kind == 3 {
            for index in self.tabs.indices { self.tabs[index] = false }
        }
    }

    mutating func lineFeed() {
        if self.row == self.bottom {
            self.scrollUp(1)
        } else if self.row < self.rows - 1 {
            self.row += 1
        }
    }

    mutating func reverseLineFeed() {
        if self.row == self.top {
            self.scrollDown(1)
        } else if self.row > 0 {
            self.row -= 1
        }
    }

    mutating func wrapLine() {
        self.grid.setWrapped(row: self.row, true)
        self.lineFeed()
        self.column = 0
    }
}

extension TerminalScreen {
    /// Scrolls the region up by `count` rows, which must not be more than it has.
    mutating func scrollUp(_ count: Int) {
        if self.saved != nil {
            // tmux moves rows here instead of pushing them into the history. That takes wrap marks away, and a region
            // of one row does not move at all.
            guard self.top < self.bottom else { return }
            if self.top > 0 { self.grid.setWrapped(row: self.top - 1, false) }
            if self.bottom - self.top == 1 { self.grid.setWrapped(row: self.bottom, false) }
        }
        if count == 1 {
            self.grid.scrollUp(top: self.top, bottom: self.bottom)
        } else {
            self.grid.scrollUp(top: self.top, bottom: self.bottom, count: count)
        }
    }

    /// Scrolls the region down by `count` rows, which must not be more than it has.
    mutating func scrollDown(_ count: Int) {
        guard self.top < self.bottom else { return }
        if self.top > 0 { self.grid.setWrapped(row: self.top - 1, false) }
        self.grid.setWrapped(row: self.top, false)
        self.grid.scrollDown(top: self.top, bottom: self.bottom, count: count)
    }

    mutating func insertLines(_ count: Int) {
        guard self.row >= self.top && self.row <= self.bottom else {
            // Outside of the margins tmux works down to the end of the screen.
            let count = min(count, self.rows - self.row)
            self.grid.moveRows(from: self.row, to: self.row + count, count: self.rows - self.row - count)
            return
        }
        let count = min(count, self.bottom + 1 - self.row)
        let moved = self.bottom + 1 - self.row - count
        self.grid.moveRows(from: self.row, to: self.row + count, count: moved)
        self.grid.clearRows(from: self.row + moved, count: count - moved)
    }

    mutating func deleteLines(_ count: Int) {
        let isInside = self.row >= self.top && self.row <= self.bottom
        let end = isInside ? self.bottom + 1 : self.rows
        let count = min(count, end - self.row)
        let moved = end - self.row - count
        self.grid.moveRows(from: self.row + count, to: self.row, count: moved)
        self.grid.clearRows(from: self.row + moved, count: count - moved)
    }

    mutating func eraseInDisplay(_ kind: Int) {
        switch kind {
        case 0:
            self.grid.clear(row: self.row, column: self.column, count: self.columns - self.column)
            self.grid.clearRows(from: self.row + 1, count: self.rows - self.row - 1)
        case 1:
            if self.row > 0 { self.grid.clearRows(from: 0, count: self.row) }
            self.grid.clear(row: self.row, column: 0, count: min(self.column + 1, self.columns))
        case 2:
            self.grid.clearRows(from: 0, count: self.rows)
        default:
            // 3 clears the history, which is not kept here.
            break
        }
    }

    mutating func eraseInLine(_ kind: Int) {
        switch kind {
        case 0:
            self.grid.clear(row: self.row, column: self.column, count: self.columns - self.column)
        case 1:
            self.grid.clear(row: self.row, column: 0, count: min(self.column + 1, self.columns))
        case 2:
            self.grid.clear(row: self.row, column: 0, count: self.columns)
        default:
            break
        }
    }

    /// ICH, DCH and ECH.
    mutating func changeCells(_ byte: UInt8, _ count: Int) {
        let count = min(count, self.columns - self.column)
        guard count > 0 else { return }
        switch byte {
        case 0x40:
            self.grid.insertCells(row: self.row, column: self.column, count: count)
        case 0x50:
            self.grid.deleteCells(row: self.row, column: self.column, count: count)
        default:
            self.grid.clear(row: self.row, column: self.column, count: count)
        }
    }
}
