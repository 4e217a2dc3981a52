/// Divides a stream into what is visible and the sequences that colour it, and puts these back at their places.
///
/// Only `ESC [ … m` and `ESC [ … K`, which programs write within a word, are taken out. Others move the cursor: what they
/// stand between is not one word.
struct Colours: Sendable {
    private struct Sequence: Sendable {
        /// The index of the visible byte after it.
        var position: Int
        var bytes: [UInt8]
    }

    private var sequences: [Sequence] = []
    private var head = 0
    /// The begin of a sequence whose end has not come.
    private var partial: [UInt8] = []
    /// Bytes of sequences since the last visible byte.
    private var count = 0

    private static let escape: UInt8 = 0x1b
    /// Bytes of one sequence, and of all at one place. What is longer is treated as text.
    private static let limit = 128
    private static let parameters = ByteSet("0-9;:")

    /// The place of the first sequence, nil when there is none.
    var nextPosition: Int? { self.head < self.sequences.count ? self.sequences[self.head].position : nil }

    /// Appends the visible bytes to `text`, and keeps the sequences.
    mutating func take(_ bytes: ArraySlice<UInt8>, into text: inout [UInt8]) {
        if self.partial.isEmpty, !bytes.contains(Self.escape) {
            text += bytes
            if !bytes.isEmpty { self.count = 0 }
            return
        }
        var rest = bytes
        while !rest.isEmpty {
            if self.partial.isEmpty {
                let plain = rest.prefix { $0 != Self.escape }
                self.append(plain, to: &text)
                rest = rest[plain.endIndex...]
            }
            if let byte = rest.popFirst() { self.take(byte, into: &text) }
        }
    }

    private mutating func take(_ byte: UInt8, into text: inout [UInt8]) {
        if self.partial.isEmpty {
            if byte == Self.escape { self.partial.append(byte) } else { self.append([byte], to: &text) }
            return
        }
        if byte == Self.escape {
            self.append(self.partial[...], to: &text)
            self.partial = [byte]
            return
        }
        self.partial.append(byte)
        let isStart = self.partial.count == 2
        if isStart ? byte == UInt8(ascii: "[") : Self.parameters.contains(byte), self.partial.count < Self.limit {
            return
        }
        if !isStart, byte == UInt8(ascii: "m") || byte == UInt8(ascii: "K") {
            self.keep(into: &text)
        } else {
            self.append(self.partial[...], to: &text)
        }
        self.partial = []
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>, to text: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        text += bytes
        self.count = 0
    }

    private mutating func keep(into text: inout [UInt8]) {
        guard self.count < Self.limit else { return self.append(self.partial[...], to: &text) }
        self.count += self.partial.count
        let last = self.sequences.count - 1
        if last >= self.head, self.sequences[last].position == text.count {
            self.sequences[last].bytes += self.partial
        } else {
            self.sequences.append(Sequence(position: text.count, bytes: self.partial))
        }
    }

    /// The stream ends: the begin of a sequence is text.
    mutating func finish(into text: inout [UInt8]) {
        text += self.partial
        self.partial = []
    }

    /// Appends the sequences at and before a place to `output`.
    mutating func take(upTo position: Int, into output: inout [UInt8]) {
        while self.head < self.sequences.count, self.sequences[self.head].position <= position {
            output += self.sequences[self.head].bytes
            self.head += 1
        }
        if self.head == self.sequences.count {
            self.sequences.removeAll(keepingCapacity: true)
            self.head = 0
        } else if self.head > 1024, self.head > self.sequences.count / 2 {
            self.sequences.removeFirst(self.head)
            self.head = 0
        }
    }

    /// The visible text lost this many bytes at its begin.
    mutating func shift(by count: Int) {
        for index in self.head..<self.sequences.count { self.sequences[index].position -= count }
    }
}
