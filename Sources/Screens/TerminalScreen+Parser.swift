extension TerminalScreen {
    mutating func consume(_ bytes: borrowing Span<UInt8>) {
        let count = bytes.count
        var index = 0
        while index < count {
            let byte = bytes[index]
            if self.state != .ground {
                self.step(byte)
            } else if byte >= 0x80 {
                self.printUTF8(byte)
            } else if byte >= 0x20 {
                if byte == 0x7F {
                    index += 1
                    continue
                }
                if self.wrapMode && !self.insertMode && !self.charsets.isDrawing {
                    index += self.printRun(bytes, from: index)
                    continue
                }
                self.printASCII(byte)
            } else if byte == 0x1B {
                self.enterEscape()
            } else {
                self.control(byte)
            }
            index += 1
        }
    }

    mutating func enterEscape() {
        self.state = .escape
        self.intermediates.clear()
        self.parameters.clear()
    }

    mutating func dropString() {
        self.oscBytes.removeAll(keepingCapacity: true)
        self.oscOverflow = false
    }

    /// Takes a byte in any state but the ground state.
    mutating func step(_ byte: UInt8) {
        switch self.state {
        case .dcsBody:
            // Only ESC ends it: a device control string may hold any other byte.
            if byte == 0x1B { self.state = .dcsEscape }
            return
        case .dcsEscape:
            self.state = byte == 0x5C ? .ground : .dcsBody
            return
        default:
            break
        }
        if byte == 0x18 || byte == 0x1A || byte == 0x1B {
            // tmux acts on an OSC however it ends.
            if self.state == .osc { self.finishOSC() }
            if byte == 0x1B {
                self.enterEscape()
            } else {
                self.control(byte)
                self.state = .ground
            }
            return
        }
        switch self.state {
        case .osc:
            self.stepOSC(byte)
        case .swallow, .dcsIgnore:
            break
        case .dcsEnter, .dcsParameter, .dcsIntermediate:
            self.stepDCS(byte)
        default:
            if byte < 0x20 {
                self.control(byte)
            } else if byte < 0x7F {
                self.stepSequence(byte)
            }
        }
    }

    mutating func stepOSC(_ byte: UInt8) {
        if byte == 0x07 {
            self.finishOSC()
            self.state = .ground
        } else if byte >= 0x20 {
            if self.oscBytes.count < Self.maximumOSC {
                self.oscBytes.append(byte)
            } else {
                self.oscOverflow = true
            }
        }
    }

    mutating func stepDCS(_ byte: UInt8) {
        switch byte {
        case 0x40...0x7E:
            self.state = .dcsBody
        case 0x20...0x2F:
            self.state = .dcsIntermediate
        case 0x3A:
            self.state = .dcsIgnore
        case 0x30...0x39, 0x3B:
            self.state = self.state == .dcsIntermediate ? .dcsIgnore : .dcsParameter
        case 0x3C...0x3F:
            self.state = self.state == .dcsEnter ? .dcsParameter : .dcsIgnore
        default:
            break
        }
    }

    /// Takes a printable byte of an escape or control sequence.
    mutating func stepSequence(_ byte: UInt8) {
        switch self.state {
        case .escape:
            self.stepEscape(byte)
        case .escapeIntermediate:
            if byte < 0x30 {
                self.intermediates.add(byte)
            } else {
                self.state = .ground
                self.dispatchEscape(byte)
            }
        case .csiEnter, .csiParameter:
            switch byte {
            case 0x20...0x2F:
                self.intermediates.add(byte)
                self.state = .csiIntermediate
            case 0x30...0x3B:
                self.parameters.add(byte)
                self.state = .csiParameter
            case 0x3C...0x3F:
                if self.state == .csiEnter {
                    self.intermediates.add(byte)
                    self.state = .csiParameter
                } else {
                    self.state = .csiIgnore
                }
            default:
                self.state = .ground
                self.dispatchCSI(byte)
            }
        case .csiIntermediate:
            if byte < 0x30 {
                self.intermediates.add(byte)
            } else if byte < 0x40 {
                self.state = .csiIgnore
            } else {
                self.state = .ground
                self.dispatchCSI(byte)
            }
        default:
            if byte >= 0x40 { self.state = .ground }
        }
    }

    mutating func stepEscape(_ byte: UInt8) {
        switch byte {
        case 0x20...0x2F:
            self.intermediates.add(byte)
            self.state = .escapeIntermediate
        case 0x5B:
            self.state = .csiEnter
        case 0x5D:
            self.enterString(.osc)
        case 0x50:
            self.enterString(.dcsEnter)
        case 0x58, 0x5E, 0x5F, 0x6B:
            // SOS, PM, APC, and the window name that programs for the screen terminal set with ESC k.
            self.enterString(.swallow)
        default:
            self.state = .ground
            self.dispatchEscape(byte)
        }
    }

    mutating func enterString(_ state: State) {
        self.dropString()
        self.lastPrinted = nil
        self.state = state
    }

    mutating func finishOSC() {
        defer { self.dropString() }
        let digits = self.oscBytes.prefix { $0 >= 0x30 && $0 <= 0x39 }
        guard let last = digits.last, digits.dropLast().allSatisfy({ $0 == 0x30 }) else { return }
        guard last == 0x30 || last == 0x32 else { return }
        var text = self.oscBytes.dropFirst(digits.count)
        if text.first == 0x3B { text = text.dropFirst() }
        if self.oscOverflow {
            // The end is missing, so the last character may be cut in two.
            while let byte = text.last, byte & 0xC0 == 0x80 { text = text.dropLast() }
            if let byte = text.last, byte >= 0x80 { text = text.dropLast() }
        }
        guard let title = String(validating: text, as: UTF8.self) else { return }
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: title.unicodeScalars.filter { $0.value >= 0xA0 || 0x20..<0x7F ~= $0.value })
        self.title = String(String(scalars).prefix(Self.maximumTitle))
    }
}
