/// Reads the text from an anchor on, and remembers whether more bytes could change what was read.
struct MatchReader {
    let text: [UInt8]
    let end: Int
    var index: Int
    /// True once a byte at or behind the end was asked for.
    private(set) var isShort = false
    /// What is before this is no secret, whatever follows.
    var harmless: Int

    init(_ text: [UInt8], at index: Int, end: Int) {
        self.text = text
        self.index = index
        self.harmless = index
        self.end = end
    }

    /// The byte at this distance, 0 behind the end.
    mutating func peek(_ distance: Int = 0) -> UInt8 {
        guard self.index + distance < self.end else {
            self.isShort = true
            return 0
        }
        return self.text[self.index + distance]
    }

    /// The byte before `index` by this distance, 0 before the begin.
    func previous(_ distance: Int = 1, before index: Int) -> UInt8 {
        index >= distance ? self.text[index - distance] : 0
    }

    /// Passes bytes of the set, at most `most`; how many.
    @discardableResult
    mutating func skip(_ set: ByteSet, most: Int = Int.max) -> Int {
        let start = self.index
        while self.index - start < most {
            guard self.index < self.end else {
                self.isShort = true
                break
            }
            guard set.contains(self.text[self.index]) else { break }
            self.index += 1
        }
        return self.index - start
    }

    /// As `skip`, also over line ends at which a terminal may have wrapped a long word.
    mutating func skipWrapped(_ set: ByteSet, most: Int) -> Int {
        var count = self.skip(set, most: most)
        while count < most, count > 0, let length = self.lineEnd, Self.isWide(self.text, before: self.index) {
            let place = self.index
            self.index += length
            let more = self.skip(set, most: most - count)
            guard more > 0 else {
                self.index = place
                break
            }
            count += more
        }
        return count
    }

    /// The bytes of the line end at the index, nil when there is none.
    private var lineEnd: Int? {
        mutating get {
            let byte = self.peek()
            if byte == 0x0a { return 1 }
            return byte == 0x0d && self.peek(1) == 0x0a ? 2 : nil
        }
    }

    /// True when the line before the place has 40 bytes and more: no terminal is narrower.
    static func isWide(_ text: [UInt8], before index: Int) -> Bool {
        guard index >= 40 else { return false }
        return !text[index - 40..<index].contains(0x0a)
    }

    /// Passes the text if it is here; false otherwise.
    mutating func skip(_ literal: String) -> Bool {
        var distance = 0
        for byte in literal.utf8 {
            guard self.peek(distance) == byte else { return false }
            distance += 1
        }
        self.index += distance
        return true
    }

    /// Passes backslashes and a quotation mark if they are here.
    mutating func skipQuote() -> Quote? {
        var count = 0
        while count < 8, self.peek(count) == UInt8(ascii: "\\") { count += 1 }
        let mark = self.peek(count)
        guard mark == UInt8(ascii: "\"") || mark == UInt8(ascii: "'") || mark == UInt8(ascii: "`") else { return nil }
        self.index += count + 1
        return Quote(mark: mark, backslashes: count)
    }

    /// True where a word begins: also behind an escaped line end, a percent-encoded byte or a cursor movement.
    func isBoundary(_ index: Int, besides set: ByteSet = .word) -> Bool {
        let last = self.previous(before: index)
        guard index > 0, set.contains(last) else { return true }
        let second = self.previous(2, before: index)
        if second == UInt8(ascii: "\\"), "ntrfb".utf8.contains(last) { return true }
        let hex = ByteSet.hex
        guard hex.contains(last) || ByteSet.letters.contains(last) else { return false }
        if hex.contains(last), hex.contains(second), self.previous(3, before: index) == UInt8(ascii: "%") {
            return true
        }
        if self.previous(6, before: index) == UInt8(ascii: "\\"), self.previous(5, before: index) == UInt8(ascii: "u") {
            return true
        }
        guard ByteSet.letters.contains(last) else { return false }
        var place = index - 2
        while place > max(0, index - 12), ByteSet.parameters.contains(self.text[place]) { place -= 1 }
        return place < index - 2 && place >= 0 && self.text[place] == UInt8(ascii: "[")
    }
}
