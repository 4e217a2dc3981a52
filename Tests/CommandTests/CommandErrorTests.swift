import Domain
import Redis
import Testing

@testable import orchestra

@Suite("CommandError")
struct CommandErrorTests {
    private struct Other: Error {}

    @Test("a command's own error keeps its status")
    func own() { #expect(CommandError(CommandError(.data, "x") as any Error).status == .data) }

    @Test("malformed input is a usage error")
    func domain() { #expect(CommandError(DomainError.invalidValue("x") as any Error).status == .usage) }

    @Test("an error of a module stays underneath")
    func underlying() {
        #expect(CommandError(DomainError.invalidValue("x") as any Error).underlying is DomainError)
        #expect(CommandError(Other()).underlying is Other)
        #expect(CommandError(CommandError(.data, "x") as any Error).underlying == nil)
    }

    @Test("a malformed Redis URL is a configuration error, an unreachable Redis is not")
    func redis() {
        let malformed = #expect(throws: RedisError.self) { try RedisConfiguration(url: "http://x") }
        #expect(malformed.map { CommandError($0 as any Error).status } == .configuration)
    }

    @Test("an error of another kind is that the command gave up")
    func other() { #expect(CommandError(Other()).status == .gaveUp) }

    @Test("the statuses are those of sysexits.h")
    func statuses() {
        #expect(CommandError.Status.usage.rawValue == 64)
        #expect(CommandError.Status.unavailable.rawValue == 69)
        #expect(CommandError.Status.notPermitted.rawValue == 77)
        #expect(CommandError.Status.configuration.rawValue == 78)
    }
}
