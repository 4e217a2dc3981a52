import AuditArchive
import Cryptography
import Domain
import Testing

@Suite("The chain of the archive")
struct ChainTests {
    /// The lines of a chain with these events, in steps of two.
    static func lines(_ count: Int, limits: ChainMachine.Limits = .init()) throws -> [[UInt8]] {
        var (machine, batch) = try ChainMachine.begin(node: "n1", key: Chains.key(1), limits: limits, at: 1000)
        var bytes = batch.bytes
        var number = 0
        while number < count {
            batch = try machine.append((number..<min(number + 2, count)).map(Chains.event), at: 2000)
            bytes += batch.bytes
            number += 2
        }
        bytes += try machine.checkpoint(at: 3000)?.bytes ?? []
        return bytes.split(separator: 0x0a).map(Array.init)
    }

    private func fault(_ lines: [[UInt8]]) -> (row: Int, fault: ChainFault)? {
        var verifier = ChainVerifier()
        for (index, line) in lines.enumerated() {
            do throws(ChainFault) { try verifier.take(line[...]) } catch { return (index + 1, error) }
        }
        return nil
    }

    @Test("a chain as it was made holds: a key, a checkpoint, the events, a checkpoint")
    func whole() throws {
        let lines = try Self.lines(5)
        var verifier = ChainVerifier(keeping: [1, 4])
        for line in lines { try verifier.take(line[...]) }
        #expect(verifier.sequence == 8 && verifier.events == 5 && verifier.checkpoints == 2 && verifier.sealed == 8)
        let key = try Chains.key(1).fingerprint
        #expect(verifier.node == "n1" && verifier.keys == [key])
        #expect(verifier.digest(of: 1) == verifier.origin && verifier.digest(of: 4) != nil)
        #expect(verifier.digest(of: 2) == nil)
    }

    @Test("a row that was removed, repeated, or exchanged with another is found where the order breaks")
    func order() throws {
        let lines = try Self.lines(5)
        for index in lines.indices.dropLast() {
            var removed = lines
            removed.remove(at: index)
            #expect(self.fault(removed)?.row == index + 1)
            var repeated = lines
            repeated.insert(lines[index], at: index)
            #expect(self.fault(repeated)?.row == index + 2)
            var exchanged = lines
            exchanged.swapAt(index, index + 1)
            #expect(self.fault(exchanged)?.row == index + 1)
        }
    }

    @Test("a row of another chain does not fit, although it has the right number")
    func fork() throws {
        var lines = try Self.lines(5)
        var (machine, other) = try ChainMachine.begin(node: "n1", key: Chains.key(2), limits: .init(), at: 1000)
        other = try machine.append([Chains.event(0)], at: 2000)
        lines[2] = Array(other.bytes.dropLast())
        let found = try #require(self.fault(lines))
        #expect(found.row == 3 && found.fault == .link)
    }

    @Test("a chain that was made again with another key is signed by that key only")
    func otherKey() throws {
        var (machine, batch) = try ChainMachine.begin(node: "n1", key: Chains.key(2), limits: .init(), at: 1000)
        var verifier = ChainVerifier()
        for line in batch.bytes.split(separator: 0x0a) { try verifier.take(line) }
        batch = try machine.append([Chains.event(0)], at: 2000)
        #expect(verifier.keys == [try Chains.key(2).fingerprint])
        // The first key's checkpoint does not end the second key's chain.
        let foreign = try Self.lines(1)[1]
        #expect(throws: ChainFault.self) { try verifier.take(foreign[...]) }
    }

    @Test("a new key is introduced by the one before, and signs from there on")
    func rotation() throws {
        var (machine, batch) = try ChainMachine.begin(node: "n1", key: Chains.key(1), limits: .init(), at: 1000)
        var bytes = batch.bytes
        batch = try machine.append([Chains.event(0)], at: 2000)
        bytes += batch.bytes
        batch = try machine.change(to: Chains.key(2), at: 3000)
        bytes += batch.bytes
        batch = try machine.append([Chains.event(1)], at: 4000)
        bytes += batch.bytes
        bytes += try machine.checkpoint(at: 5000)?.bytes ?? []
        let lines = bytes.split(separator: 0x0a).map(Array.init)
        var verifier = ChainVerifier()
        for line in lines { try verifier.take(line[...]) }
        #expect(verifier.keys == [try Chains.key(1).fingerprint, try Chains.key(2).fingerprint])
        #expect(verifier.sequence == 8 && verifier.checkpoints == 4 && verifier.events == 2)
        #expect(batch.head.key == (try Chains.key(2).fingerprint))
    }

    @Test("a checkpoint follows the set number of rows, and the set time")
    func checkpoints() throws {
        var limits = ChainMachine.Limits()
        limits.checkpointRows = 3
        limits.checkpointInterval = 500
        var (machine, _) = try ChainMachine.begin(node: "n1", key: Chains.key(1), limits: limits, at: 1000)
        func kinds(_ batch: ChainMachine.Batch) -> [String] {
            batch.bytes.split(separator: 0x0a).compactMap { JSONValue(ifValid: Array($0))?["kind"]?.string }
        }
        #expect(kinds(try machine.append([Chains.event(0), Chains.event(1)], at: 1100)) == ["event", "event"])
        #expect(kinds(try machine.append([Chains.event(2)], at: 1200)) == ["event", "checkpoint"])
        #expect(kinds(try machine.append([Chains.event(3)], at: 1600)) == ["event"])
        #expect(kinds(try machine.append([Chains.event(4)], at: 1700)) == ["event", "event", "checkpoint"].suffix(2))
        #expect(try machine.checkpoint(at: 9000) == nil)
        // A clock that went back does not put a checkpoint off.
        #expect(kinds(try machine.append([Chains.event(5)], at: 10)) == ["event", "checkpoint"])
    }

    @Test("a segment that is full gets a checkpoint, and the next step begins another")
    func segments() throws {
        var limits = ChainMachine.Limits()
        limits.segmentBytes = 1000
        var (machine, first) = try ChainMachine.begin(node: "n1", key: Chains.key(1), limits: limits, at: 1000)
        #expect(first.segment == 1 && first.offset == 0)
        let second = try machine.append([Chains.event(0)], at: 1000)
        #expect(second.segment == 1 && second.offset == first.bytes.count)
        let third = try machine.append([Chains.event(1)], at: 1000)
        #expect(third.segment == 2 && third.offset == 0 && third.head.segment == 2)
    }

    @Test(
        "events of every kind are one line each, and can be read back",
        arguments: [
            #"{"a":1}"#, "", "not JSON", "{\"a\":\n1}", "{\"a\":1}\r", "\u{0}\u{1}", "\"\u{2028}\"", "[[[1]]]",
            #"{"kind":"checkpoint","seq":1}"#, #"{"a":"\",\"event\":"}"#,
        ])
    func hostile(text: String) throws {
        var (machine, _) = try ChainMachine.begin(node: "n1", key: Chains.key(1), limits: .init(), at: 1000)
        let event = ArchivedEvent(
            lane: 0, trail: "acme", id: "5-1", number: 2, bytes: Array(text.utf8))
        let lines = try machine.append([event], at: 1000).bytes.split(separator: 0x0a)
        #expect(lines.count == 1)
        let row = try #require(JSONValue(ifValid: Array(lines[0])))
        #expect(row["trail"] == "acme" && row["id"] == "5-1" && row["n"] == 2 && row["lane"] == 0)
        if let bytes = row["bytes"]?.string {
            #expect(Hexadecimal.bytes(of: bytes) == event.bytes)
        } else {
            #expect(row["event"] == JSONValue(ifValid: event.bytes))
        }
    }

    @Test(
        "lines that are no rows are refused",
        arguments: ["", "{}", "{\"seq\":1}", "{\"seq\":01,\"prev\":\"\"}", "\u{0}"])
    func malformed(text: String) {
        var verifier = ChainVerifier()
        #expect(throws: ChainFault.malformed) { try verifier.take(Array(text.utf8)[...]) }
    }
}
