/// Separates a program's answer from the echo of what was typed, in the bytes that it writes.
///
/// Only visible characters count: an echo may be wrapped, colored or moved by control sequences, and drawn again when Enter
/// is pressed. Until a newline follows a whole echo, its repetition is an echo as well.
struct EchoFilter {
    /// What the bytes show.
    struct Finding: Equatable {
        /// Visible characters that are not an echo.
        var hasText = false
        /// A control sequence.
        var hasSequence = false
    }

    private struct Echo {
        let key: [UInt8]
        let expected: [UInt8]
        var position = 0
        var isWhole = false
        var isOver = false

        mutating func takes(_ byte: UInt8) -> Bool {
            guard !self.isOver, !self.expected.isEmpty else { return false }
            if self.position == self.expected.count { self.position = 0 }
            guard self.expected[self.position] == byte else {
                if self.isWhole, self.position == 0 { self.position = self.expected.count }
                return false
            }
            self.position += 1
            if self.position == self.expected.count { self.isWhole = true }
            return true
        }

        mutating func newline() {
            if self.isWhole, self.position == self.expected.count { self.isOver = true }
        }
    }

    private enum State { case ground, escape, sequence, string, stringEscape }

    private var echoes: [Echo] = []
    private var state = State.ground
    private var stringLength = 0

    /// Bytes of an echo that are compared; of a longer one the rest counts as an answer.
    private static let limit = 16 * 1024
    /// After so many bytes a string of the terminal's language that never ends is given up.
    private static let stringLimit = 4096

    /// Expects the echo of this text under the message's key.
    mutating func expect(_ text: [UInt8], of key: [UInt8]) {
        if self.echoes.isEmpty { self.state = .ground }
        self.echoes.append(Echo(key: key, expected: Array(text.lazy.filter(Self.isVisible).prefix(Self.limit))))
    }

    /// Expects the echo of this message no longer.
    mutating func forget(_ key: [UInt8]) { self.echoes.removeAll { $0.key == key } }

    /// Takes the next bytes that the program wrote.
    mutating func take(_ bytes: [UInt8]) -> Finding {
        var finding = Finding()
        for byte in bytes {
            switch self.state {
            case .ground: self.takeText(byte, &finding)
            case .escape: self.takeEscape(byte, &finding)
            case .sequence: if (0x40...0x7E).contains(byte) { self.state = .ground }
            case .string:
                self.stringLength += 1
                if byte == 0x07 || self.stringLength > Self.stringLimit { self.state = .ground }
                if byte == 0x1B { self.state = .stringEscape }
            case .stringEscape: self.state = byte == UInt8(ascii: "\\") ? .ground : .string
            }
        }
        return finding
    }

    private mutating func takeText(_ byte: UInt8, _ finding: inout Finding) {
        if byte == 0x1B {
            self.state = .escape
            return
        }
        if byte == 0x0A {
            for index in self.echoes.indices { self.echoes[index].newline() }
        }
        guard Self.isVisible(byte) else { return }
        for index in self.echoes.indices where self.echoes[index].takes(byte) { return }
        finding.hasText = true
    }

    private mutating func takeEscape(_ byte: UInt8, _ finding: inout Finding) {
        finding.hasSequence = true
        switch byte {
        case UInt8(ascii: "["): self.state = .sequence
        case UInt8(ascii: "]"), UInt8(ascii: "P"), UInt8(ascii: "X"), UInt8(ascii: "^"), UInt8(ascii: "_"):
            (self.state, self.stringLength) = (.string, 0)
        case 0x20...0x2F, 0x1B: break  // an intermediate byte, or a new sequence
        default: self.state = .ground
        }
    }

    private static func isVisible(_ byte: UInt8) -> Bool { byte > 0x20 && byte != 0x7F }
}
