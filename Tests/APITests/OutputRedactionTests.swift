import Testing

@testable import API

@Suite("OutputRedaction")
struct OutputRedactionTests {
    private static let log = Array("$ export T=ghp_16C7e42F292c6912E7710c838347Ae178B4a\r\n$ ls\r\n".utf8)

    /// What a reader from this byte on gets, when the log comes in pieces of this size.
    private func read(from offset: UInt64, pieces: Int) -> [AgentOutput] {
        var redaction = OutputRedaction(from: offset)
        var parts: [AgentOutput] = []
        var place = Int(redaction.first)
        while place < Self.log.count {
            let end = min(place + pieces, Self.log.count)
            if let part = redaction.take(UInt64(place), Array(Self.log[place..<end])) { parts.append(part) }
            place = end
        }
        if let part = redaction.finish() { parts.append(part) }
        return parts
    }

    @Test("a reader from any byte on, with pieces of any size, sees nothing of a secret", arguments: 1...9)
    func anywhere(pieces: Int) {
        for offset in 0..<UInt64(Self.log.count) {
            let parts = self.read(from: offset, pieces: pieces)
            let text = String(decoding: parts.flatMap(\.bytes), as: UTF8.self)
            #expect(!text.contains("16C7") && !text.contains("8B4a") && !text.contains("6912"), "\(offset): \(text)")
            #expect(text.utf8.last == 0x0a)
            #expect(parts.first?.offset == offset && parts.last?.next == UInt64(Self.log.count))
            for (part, following) in zip(parts, parts.dropFirst()) { #expect(part.next == following.offset) }
        }
    }

    @Test("text without a secret comes as it is, from any byte on")
    func harmless() {
        let log = Array("$ ls -l\r\ntotal 0\r\n".utf8)
        for offset in 0..<log.count {
            var redaction = OutputRedaction(from: UInt64(offset))
            let part = redaction.take(0, log)
            #expect(part?.bytes == Array(log[offset...]))
        }
    }
}
