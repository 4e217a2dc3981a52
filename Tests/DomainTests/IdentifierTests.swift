import Domain
import Testing

@Suite("Identifiers")
struct IdentifierTests {
    @Test(
        "names that could leave a key or a directory are refused",
        arguments: [
            "", ".", "..", "-a", "a-", "A", "a b", "a/b", "a:b", "{a}", "a\n", "é", "а", "a*",
            String(repeating: "a", count: 64),
        ])
    func workspaceNames(text: String) {
        #expect(throws: DomainError.self) { try WorkspaceID(text) }
    }

    @Test(
        "action names are exact: no case, no glob, no look-alike",
        arguments: ["Shell.run", "shell.*", "shell.run ", "shеll.run", ".run", "run."])
    func actionNames(text: String) {
        #expect(throws: DomainError.self) { try ActionName(text) }
    }

    @Test("a job id carries its time and survives its text form")
    func jobID() throws {
        let id = JobID(milliseconds: 1_797_000_000_123, randomHigh: .max, randomLow: .max)
        #expect(id.milliseconds == 1_797_000_000_123)
        #expect(try JobID(id.description) == id)
        #expect(try JobID(id.description.uppercased()) == id)
        #expect(UUIDBytes(bytes: id.uuid.bytes) == id.uuid)
    }

    @Test(
        "other UUIDs are no job ids",
        arguments: [
            "1b4e28ba-2fa1-41d2-883f-0016d3cca427", "", "x", "0197f3a2-7c1e-7b52-1d0a-5a1f6f0c2b11",
            "0197f3a27c1e7b529d0a5a1f6f0c2b11", "0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b1g",
        ])
    func otherUUIDs(text: String) {
        #expect(throws: DomainError.self) { try JobID(text) }
    }

    @Test("an error shows no control character of what it refuses")
    func harmlessErrors() {
        let error = #expect(throws: DomainError.self) { try WorkspaceID("a\u{1b}[31m\nb") }
        #expect(error?.message.unicodeScalars.allSatisfy { $0.value >= 0x20 } == true)
    }

    @Test("job states move only as the diagram says; final ones not at all", arguments: JobState.allCases)
    func states(state: JobState) {
        #expect(state.successors.isEmpty == state.isFinal)
        #expect(!state.successors.contains(state))
    }

    @Test("bytes written are bytes read, and cut input is an error at every length")
    func byteCoding() throws {
        var writer = ByteWriter()
        writer.write(UInt64.max - 5)
        writer.write(text: "text")
        writer.write(UInt16(513))
        var reader = ByteReader(writer.bytes[...])
        let large = try reader.number(UInt64.self)
        let text = try reader.text()
        let small = try reader.number(UInt16.self)
        #expect(large == UInt64.max - 5 && text == "text" && small == 513 && reader.isAtEnd)
        for length in 0..<writer.bytes.count {
            #expect(throws: DomainError.self) {
                var reader = ByteReader(writer.bytes[..<length])
                _ = try reader.number(UInt64.self)
                _ = try reader.text()
                _ = try reader.number(UInt16.self)
            }
        }
    }
}
