import Domain
import Redaction
import ShimProtocol

/// A terminal's log together with when its bytes came.
struct Recording {
    private var log: ArraySlice<UInt8>
    private var timing: ArraySlice<(milliseconds: UInt64, count: Int)>

    init(log: [UInt8], timing: [(milliseconds: UInt64, count: Int)]) {
        self.log = log[...]
        self.timing = timing[...]
    }

    /// The next bytes and when they came; what has no time comes at the end, with the last one's.
    mutating func next() -> (UInt64, ArraySlice<UInt8>)? {
        guard !self.log.isEmpty else { return nil }
        guard let part = self.timing.popFirst() else {
            defer { self.log = [] }
            return (0, self.log)
        }
        let bytes = self.log.prefix(part.count)
        self.log = self.log.dropFirst(part.count)
        return (part.milliseconds, bytes)
    }

    /// asciicast v2: a header, a line `[seconds, "o", text]` for each part, and `[seconds, "r", "COLUMNSxROWS"]` where the
    /// terminal was resized. A character that is cut between two parts goes whole into the later one. Secrets are redacted.
    mutating func asciicast(columns: Int, rows: Int, sizes: TerminalSizes) -> [String] {
        let header: JSONValue = [
            "version": .integer(2), "width": .integer(Int64(columns)), "height": .integer(Int64(rows)),
        ]
        var lines = [header.text]
        var last: UInt64 = 0
        var begun: [UInt8] = []
        var redactor = Redactor(isLive: true)
        var (changes, offset) = (sizes.changes[...], UInt64(0))
        func line(_ kind: String, _ text: String) -> String {
            "[\(last / 1000).\(String(1000 + last % 1000).dropFirst()), \"\(kind)\", \(JSONValue.string(text).text)]"
        }
        while let (time, bytes) = self.next() {
            last = max(last, time)
            while let change = changes.first, change.offset <= offset {
                lines.append(line("r", "\(change.columns)x\(change.rows)"))
                changes.removeFirst()
            }
            offset += UInt64(bytes.count)
            redactor.redact(bytes, into: &begun)
            if self.log.isEmpty { redactor.finish(into: &begun) }
            let cut = self.log.isEmpty ? 0 : Self.unfinished(begun)
            let text = String(decoding: begun.dropLast(cut), as: UTF8.self)
            begun = Array(begun.suffix(cut))
            if !text.isEmpty { lines.append(line("o", text)) }
        }
        return lines
    }

    /// Bytes at the end that begin a UTF-8 character and do not end it.
    private static func unfinished(_ bytes: [UInt8]) -> Int {
        for (back, byte) in bytes.reversed().prefix(3).enumerated() {
            if byte & 0xC0 == 0x80 { continue }
            let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return length > back + 1 ? back + 1 : 0
        }
        return 0
    }
}
