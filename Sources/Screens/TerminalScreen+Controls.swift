extension TerminalScreen {
    mutating func control(_ byte: UInt8) {
        self.decoder.reset()
        self.lastPrinted = nil
        switch byte {
        case 0x08:
            self.backspace()
        case 0x09:
            self.tabForward(1)
        case 0x0A, 0x0B, 0x0C:
            self.lineFeed()
        case 0x0D:
            self.column = 0
        case 0x0E:
            self.charsets.shifted = true
        case 0x0F:
            self.charsets.shifted = false
        default:
            break
        }
    }

    mutating func dispatchEscape(_ byte: UInt8) {
        if self.intermediates.count > 0 {
            switch (self.intermediates.count, self.intermediates.first, byte) {
            case (1, 0x28, 0x30):
                self.charsets.g0Drawing = true
            case (1, 0x28, 0x42):
                self.charsets.g0Drawing = false
            case (1, 0x29, 0x30):
                self.charsets.g1Drawing = true
            case (1, 0x29, 0x42):
                self.charsets.g1Drawing = false
            case (1, 0x23, 0x38):
                self.alignmentTest()
            default:
                return
            }
            self.lastPrinted = nil
            return
        }
        switch byte {
        case 0x37:
            self.saveCursor()
        case 0x38:
            self.restoreCursor()
        case 0x44:
            self.lineFeed()
        case 0x45:
            self.column = 0
            self.lineFeed()
        case 0x48:
            if self.column < self.columns { self.tabs[self.column] = true }
        case 0x4D:
            self.reverseLineFeed()
        case 0x5A:
            self.answerIdentification()
        case 0x63:
            self.reset()
        case 0x3D, 0x3E, 0x5C:
            break
        default:
            return
        }
        self.lastPrinted = nil
    }

    mutating func dispatchCSI(_ byte: UInt8) {
        self.parameters.finish()
        guard !self.parameters.isInvalid else { return }
        self.answerCSI(byte)
        let isKnown: Bool
        if self.intermediates.count == 0 {
            isKnown = self.carryOut(byte)
        } else if self.intermediates.isOnly(0x3F) && (byte == 0x68 || byte == 0x6C) {
            for index in 0..<self.parameters.count {
                guard let mode = self.parameters.value(index, minimum: 0, missing: -1) else { continue }
                self.setPrivateMode(mode, byte == 0x68)
            }
            isKnown = true
        } else if self.intermediates.isOnly(0x21) && byte == 0x70 {
            self.modes.softReset()
            isKnown = false
        } else {
            // Queries and settings without a text of their own.
            let isMore = self.intermediates.isOnly(0x3E) && [0x63, 0x6D, 0x6E, 0x71].contains(byte)
            isKnown = isMore || (self.intermediates.isOnly(0x20) && byte == 0x71)
        }
        // A sequence that is not known does not come between a character and its repetition.
        if isKnown { self.lastPrinted = nil }
    }

    /// Carries out a control sequence without a private marker and says whether there is such a sequence.
    mutating func carryOut(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x63, 0x6D, 0x6E, 0x74:
            // DA, SGR, DSR and window operations change no text.
            return true
        case 0x67:
            self.clearTabs(self.parameters.value(0, minimum: 0, missing: 0) ?? -1)
        case 0x68, 0x6C:
            for index in 0..<self.parameters.count {
                if self.parameters.value(index, minimum: 0, missing: -1) == 4 { self.insertMode = byte == 0x68 }
            }
        case 0x4A:
            self.eraseInDisplay(self.parameters.value(0, minimum: 0, missing: 0) ?? -1)
        case 0x4B:
            self.eraseInLine(self.parameters.value(0, minimum: 0, missing: 0) ?? -1)
        case 0x73:
            self.saveCursor()
        case 0x75:
            self.restoreCursor()
        case 0x48, 0x66:
            if let row = self.parameters.value(0, minimum: 1, missing: 1),
                let column = self.parameters.value(1, minimum: 1, missing: 1)
            {
                self.move(row: row - 1, column: column - 1)
            }
        case 0x72:
            if let top = self.parameters.value(0, minimum: 1, missing: 1),
                let bottom = self.parameters.value(1, minimum: 1, missing: self.rows)
            {
                self.setRegion(top - 1, bottom - 1)
            }
        default:
            // All others take one number that counts from 1.
            let count = self.parameters.value(0, minimum: 1, missing: 1)
            return self.carryOut(byte, count)
        }
        return true
    }

    /// Carries out a control sequence with one number; without it (nil) only says whether there is such a sequence.
    mutating func carryOut(_ byte: UInt8, _ count: Int?) -> Bool {
        // No number reads as 0, which none of the sequences has otherwise: it does nothing.
        let count = count ?? 0
        switch byte {
        case 0x40, 0x50, 0x58:
            self.changeCells(byte, count)
        case 0x41 where count > 0:
            self.moveUp(count)
        case 0x42 where count > 0, 0x65 where count > 0:
            self.moveDown(count)
        case 0x43 where count > 0, 0x61 where count > 0:
            self.column = min(self.column + count, self.columns - 1)
        case 0x44 where count > 0:
            self.column -= min(count, self.column)
        case 0x45 where count > 0:
            self.column = 0
            self.moveDown(count)
        case 0x46 where count > 0:
            self.column = 0
            self.moveUp(count)
        case 0x47 where count > 0, 0x60 where count > 0:
            self.column = min(count, self.columns) - 1
        case 0x49 where count > 0:
            self.tabForward(min(count, self.columns))
        case 0x4C where count > 0:
            self.insertLines(count)
        case 0x4D where count > 0:
            self.deleteLines(count)
        case 0x53 where count > 0:
            self.scrollUp(min(count, self.bottom - self.top + 1))
        case 0x54 where count > 0:
            self.scrollDown(min(count, self.bottom - self.top + 1))
        case 0x5A where count > 0:
            self.tabBackward(min(count, self.columns))
        case 0x62 where count > 0:
            self.repeatLast(count)
        case 0x64 where count > 0:
            self.row = self.clampedRow(count - 1)
        case 0x41...0x47, 0x60...0x62, 0x64, 0x65, 0x49, 0x4C, 0x4D, 0x53, 0x54, 0x5A:
            break
        default:
            return false
        }
        return true
    }

    mutating func setPrivateMode(_ mode: Int, _ isOn: Bool) {
        switch mode {
        case 3:
            // The width cannot change, but the screen is cleared as a real terminal does.
            self.move(row: 0, column: 0)
            self.grid.clearRows(from: 0, count: self.rows)
        case 6:
            self.originMode = isOn
            self.move(row: 0, column: 0)
        case 7:
            self.wrapMode = isOn
        case 47, 1047:
            self.showAlternate(isOn, withCursor: false)
        case 1049:
            self.showAlternate(isOn, withCursor: true)
        default:
            self.modes.set(mode, isOn)
        }
    }

    mutating func showAlternate(_ isOn: Bool, withCursor: Bool) {
        if isOn {
            guard self.saved == nil else { return }
            if withCursor { self.alternateCursor = Position(row: self.row, column: self.column) }
            self.saved = self.grid
            self.grid = Grid(columns: self.columns, rows: self.rows)
            return
        }
        if withCursor, let cursor = self.alternateCursor {
            self.row = cursor.row
            self.column = cursor.column
        }
        self.row = min(self.row, self.rows - 1)
        self.column = min(self.column, self.columns - 1)
        if let saved = self.saved {
            self.grid = saved
            self.saved = nil
        }
    }

    mutating func saveCursor() {
        self.kept = SavedCursor(
            row: self.row, column: self.column, charsets: self.charsets, originMode: self.originMode)
    }

    mutating func restoreCursor() {
        self.charsets = self.kept.charsets
        self.originMode = self.kept.originMode
        self.row = min(self.kept.row, self.rows - 1)
        self.column = min(self.kept.column, self.columns - 1)
    }

    mutating func reset() {
        self.charsets = Charsets()
        self.kept.forget()
        self.tabs = Self.defaultTabs(self.columns)
        self.top = 0
        self.bottom = self.rows - 1
        self.originMode = false
        self.insertMode = false
        self.wrapMode = true
        self.modes.reset()
        self.grid.clearRows(from: 0, count: self.rows)
        self.row = 0
        self.column = 0
    }

    mutating func alignmentTest() {
        self.grid.fill(0x45)
        self.row = 0
        self.column = 0
        self.top = 0
        self.bottom = self.rows - 1
    }
}
