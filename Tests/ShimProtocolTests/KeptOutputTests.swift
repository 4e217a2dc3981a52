import ShimProtocol
import Testing

@Suite("KeptOutput")
struct KeptOutputTests {
    @Test("an output within the limit is kept whole", arguments: [0, 1, 5, 10])
    func whole(count: Int) {
        var kept = KeptOutput(limit: 10)
        kept.append((0..<count).map { UInt8($0) })
        #expect(kept.bytes == (0..<count).map { UInt8($0) } && kept.leftOut == 0)
    }

    @Test("of a long output the beginning and the end are kept, with the count of what is left out between")
    func long() {
        var kept = KeptOutput(limit: 10)
        kept.append((0..<100).map { UInt8($0) })
        #expect(kept.leftOut == 90)
        #expect(kept.bytes == [0, 1, 2, 3, 4] + Array("\n[90 bytes left out]\n".utf8) + [95, 96, 97, 98, 99])
    }

    @Test("how the output is cut into reads changes nothing", arguments: [1, 2, 3, 7, 11, 50, 100])
    func reads(size: Int) {
        let all = (0..<100).map { UInt8($0) }
        var (whole, parts) = (KeptOutput(limit: 10), KeptOutput(limit: 10))
        whole.append(all)
        for start in stride(from: 0, to: all.count, by: size) {
            parts.append(all[start..<min(start + size, all.count)])
        }
        #expect(parts.bytes == whole.bytes && parts.leftOut == whole.leftOut)
    }

    @Test("a limit of nothing keeps nothing and counts all")
    func nothing() {
        var kept = KeptOutput(limit: 0)
        kept.append([1, 2, 3])
        #expect(kept.leftOut == 3)
    }
}
