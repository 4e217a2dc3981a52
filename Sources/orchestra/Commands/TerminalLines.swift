import Domain
import Redaction

/// Cuts an agent's output into lines for the screen, without secrets: by bytes, so that a character that arrives in two parts
/// stays whole.
struct TerminalLines {
    private var redactor = Redactor(isLive: true)
    private var pending: [UInt8] = []
    private let limit: Int

    /// A line longer than `limit` bytes is shown in parts.
    init(limit: Int = 65_536) { self.limit = limit }

    /// Adds output; returns the lines that are complete, without their ends and made harmless.
    mutating func add(_ bytes: [UInt8]) -> [String] {
        var lines: [String] = []
        self.redactor.redact(bytes, into: &self.pending)
        var start = self.pending.startIndex
        while start < self.pending.endIndex {
            let rest = self.pending[start...]
            if let end = rest.firstIndex(of: UInt8(ascii: "\n")), end - start <= self.limit {
                lines.append(Self.plain(self.pending[start..<end]))
                start = end + 1
            } else if rest.count > self.limit {
                let end = Self.boundary(in: rest, atMost: start + self.limit)
                lines.append(Self.plain(self.pending[start..<end]))
                start = end
            } else {
                break
            }
        }
        self.pending.removeFirst(start)
        return lines
    }

    /// The last line, which has no end; nil when there is none.
    mutating func finish() -> String? {
        self.redactor.finish(into: &self.pending)
        defer { self.pending = [] }
        return self.pending.isEmpty ? nil : Self.plain(self.pending[...])
    }

    /// The last place at or before `limit` where a character begins.
    private static func boundary(in bytes: ArraySlice<UInt8>, atMost limit: Int) -> Int {
        var place = limit
        // A UTF-8 character has at most three bytes behind its first.
        while place > limit - 4, place > bytes.startIndex + 1, bytes[place] & 0xc0 == 0x80 { place -= 1 }
        return place
    }

    private static func plain(_ bytes: ArraySlice<UInt8>) -> String {
        TerminalText.plain(String(decoding: bytes, as: UTF8.self))
    }
}
