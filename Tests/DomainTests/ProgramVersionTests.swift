import Domain
import Testing

@Suite("The version of a program")
struct ProgramVersionTests {
    @Test(
        "the first version in what a program prints is found",
        arguments: [
            ("2.1.332 (Claude Code)", "2.1.332"), ("codex-cli 0.163.0\n", "0.163.0"),
            ("GNU bash, version 5.2.15(1)-release", "5.2.15"), ("v10.2", "10.2"), ("3. item 1.5", "1.5"),
        ])
    func found(_ text: String, _ version: String) {
        #expect(ProgramVersion(in: text)?.description == version)
    }

    @Test("a text without numbers between dots is not a version", arguments: ["", "2", "a.b", "1..2", "1.4294967296"])
    func none(_ text: String) {
        #expect(ProgramVersion(text) == nil)
    }

    @Test("versions compare by their numbers, the first one first")
    func order() throws {
        let texts = ["0.9.10", "0.10.0", "0.10.0.1", "2.0"]
        let versions = try texts.map { try #require(ProgramVersion($0)) }
        #expect(versions == versions.shuffled().sorted())
    }
}
