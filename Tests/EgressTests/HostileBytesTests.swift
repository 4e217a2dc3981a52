import Domain
import Egress
import TestSupport
import Testing

@Suite("Hostile bytes")
struct HostileBytesTests {
    private static let heads: [[UInt8]] = (RequestTests.refused.map(\.1) + RequestTests.forwarded.map(\.1)).filter {
        $0.utf8.count < 2000
    }
    .map { Array($0.utf8) }
    private static let hellos: [[UInt8]] =
        TunnelTLSTests.refused.map(\.1).filter { $0.count < 4000 }
        + [HelloBytes.hello("api.example.test"), HelloBytes.hello("api.example.test", size: 7)]

    private func mutated(_ bytes: [UInt8], _ generator: inout SeededRandom) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 0...4, using: &generator) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0...4, using: &generator) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: index)
            case 3: bytes.insert(contentsOf: bytes[index...].prefix(20), at: index)
            default: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            }
        }
        return bytes
    }

    private func segments(_ bytes: [UInt8], _ generator: inout SeededRandom) -> [[UInt8]] {
        var rest = bytes[...]
        var result: [[UInt8]] = []
        while !rest.isEmpty {
            let count = Int.random(in: 1...max(1, min(rest.count, 400)), using: &generator)
            result.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return result
    }

    @Test(
        "mutated requests never trap, and their segments do not matter", arguments: SeededRandom.seeds(2, thorough: 16))
    func requests(_ seed: UInt64) throws {
        var generator = SeededRandom(seed: seed)
        let fixture = try EgressFixture()
        for _ in 0..<500 {
            guard let head = Self.heads.randomElement(using: &generator) else { continue }
            let bytes = self.mutated(head, &generator)
            let whole = fixture.play([bytes])
            let split = fixture.play(self.segments(bytes, &generator))
            #expect(whole.isClosed == split.isClosed && whole.reason == split.reason)
            let isCut = whole.reason == .incompleteRequest || whole.reason == .malformedBody
            #expect(whole.forwarded == split.forwarded || isCut)
            let allowed = ["api.example.test", "plain.example.test", "upload.example.test"]
            #expect(
                whole.questions.allSatisfy { name in
                    allowed.contains(name) || name.hasSuffix(".pkg.example.test") || name.hasSuffix(".example.test")
                })
        }
    }

    @Test(
        "mutated ClientHello messages never trap, and only the host of the CONNECT passes",
        arguments: SeededRandom.seeds(2, thorough: 16))
    func hellos(_ seed: UInt64) throws {
        var generator = SeededRandom(seed: seed)
        let fixture = try EgressFixture()
        let connect = EgressFixture.connect("api.example.test:443")
        for _ in 0..<500 {
            guard let hello = Self.hellos.randomElement(using: &generator) else { continue }
            let bytes = self.mutated(hello, &generator)
            let whole = fixture.play([connect, bytes])
            let split = fixture.play([connect] + self.segments(bytes, &generator))
            #expect(whole.reason == split.reason && whole.forwarded == split.forwarded)
            guard !whole.forwarded.isEmpty else { continue }
            let name = whole.events.first?.serverName?.lowercased()
            #expect(name == "api.example.test" || name == "api.example.test.")
            #expect(whole.forwarded == bytes)
        }
    }

    @Test("random bytes are never allowed", arguments: SeededRandom.seeds(2, thorough: 8))
    func random(_ seed: UInt64) throws {
        var generator = SeededRandom(seed: seed)
        let fixture = try EgressFixture()
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 1...200, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            let played = fixture.play([bytes])
            #expect(played.isSilent && played.isRefused)
            let inside = fixture.play([EgressFixture.connect("api.example.test:443"), bytes])
            #expect(inside.forwarded.isEmpty && inside.isRefused)
        }
    }

    @Test("random entries load or throw, and never trap", arguments: SeededRandom.seeds(2, thorough: 8))
    func entries(_ seed: UInt64) throws {
        var generator = SeededRandom(seed: seed)
        for _ in 0..<500 {
            guard let entry = EgressFixture.entries.randomElement(using: &generator) else { continue }
            let text = self.mutated(entry.bytes, &generator)
            do {
                _ = try EgressEntry(try JSONParser.parse(text), place: "x")
            } catch let error as EgressError {
                #expect(error.message.hasPrefix("x"))
            } catch let error as DomainError {
                #expect(error.code == .invalidJSON)
            }
        }
    }
}
