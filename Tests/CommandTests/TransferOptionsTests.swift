import ArgumentParser
import Domain
import Testing

@testable import orchestra

@Suite("TransferOptions")
struct TransferOptionsTests {
    private func get(_ arguments: String...) throws -> WorkspacesCommand.Get {
        try #require(
            try Orchestra.parseAsRoot(["workspaces", "get", "acme"] + arguments) as? WorkspacesCommand.Get)
    }

    @Test("the bounds have defaults")
    func defaults() throws {
        let limits = try self.get().transfer.limits()
        #expect(limits == TransferTally.Limits(bytes: 1 << 30, entries: 100_000, time: .seconds(600)))
    }

    @Test(
        "a bound out of its range is a usage error",
        arguments: [
            ["--max-bytes", "0"], ["--max-bytes", "1099511627777"], ["--max-entries", "0"],
            ["--max-entries", "10000001"], ["--timeout", "0"], ["--timeout", "86401"],
        ])
    func ranges(arguments: [String]) throws {
        let command = try #require(
            try Orchestra.parseAsRoot(["workspaces", "put", "acme"] + arguments) as? WorkspacesCommand.Put)
        let error = #expect(throws: CommandError.self) { try command.transfer.limits() }
        #expect(error?.status == .usage && error?.message.contains(arguments[0]) == true)
    }

    @Test("a path is relative to the workspace, and never an option of tar")
    func paths() throws {
        #expect(try TransferOptions.checked([]) == [])
        #expect(
            try TransferOptions.checked(["a/b", "--to-command=x", "./c", "..d"]) == [
                "./a/b", "./--to-command=x", "././c", "./..d",
            ])
        let command = try self.get("--", "--to-command=x")
        #expect(command.paths == ["--to-command=x"])
    }

    @Test(
        "a path that leads out of the workspace is a usage error",
        arguments: ["", "/etc/passwd", "..", "../x", "a/../..", "a\0b", String(repeating: "x", count: 5000)])
    func refusedPaths(path: String) {
        let error = #expect(throws: CommandError.self) { try TransferOptions.checked(["fine", path]) }
        #expect(error?.status == .usage)
    }
}
