import ArgumentParser
import Foundation
import ShimProtocol
import Testing

@testable import orchestra

@Suite("The command line's options")
struct CommandLineParsingTests {
    /// The paths of all commands below the root.
    static let commands: [[String]] = {
        var paths: [[String]] = []
        func walk(_ type: any ParsableCommand.Type, _ path: [String]) {
            if !path.isEmpty { paths.append(path) }
            for child in type.configuration.subcommands { walk(child, path + [child._commandName]) }
        }
        walk(Orchestra.self, [])
        return paths
    }()

    private func page(_ command: [String]) -> String {
        do {
            var parsed = try Orchestra.parseAsRoot(command + ["--help"])
            try parsed.run()
            return ""
        } catch {
            return Orchestra.fullMessage(for: error)
        }
    }

    @Test("every command has a help page, and an example where it has no subcommands", arguments: Self.commands)
    func help(command: [String]) {
        let page = self.page(command)
        #expect(page.contains("USAGE: orchestra \(command[0])"))
        #expect(page.contains("SUBCOMMANDS") || page.contains("EXAMPLE"))
    }

    @Test("every exit status is on the help page of the root")
    func statuses() {
        let page = Orchestra.helpMessage()
        for status in [1, 64, 65, 69, 70, 74, 77, 78] { #expect(page.contains("\(status) "), "\(status)") }
    }

    @Test("the length of a list is bounded", arguments: ["0", "10001", "x"])
    func limits(text: String) {
        let error = #expect(throws: (any Error).self) { try Orchestra.parseAsRoot(["jobs", "list", "--limit", text]) }
        #expect(error.map { Orchestra.exitCode(for: $0).rawValue } == 64)
    }

    @Test("an unknown command is a usage error")
    func unknown() {
        let error = #expect(throws: (any Error).self) { try Orchestra.parseAsRoot(["nonsense"]) }
        #expect(error.map { Orchestra.exitCode(for: $0).rawValue } == 64)
    }

    @Test("the insecure options of a worker are off unless they are given")
    func insecure() throws {
        let plain = try #require(try Orchestra.parseAsRoot(["worker"]) as? WorkerCommand)
        #expect(!plain.insecurePublicProbe && !plain.insecurePlainRedis)
        let given = try #require(
            try Orchestra.parseAsRoot(["worker", "--insecure-public-probe", "--insecure-plain-redis"])
                as? WorkerCommand)
        #expect(given.insecurePublicProbe && given.insecurePlainRedis)
    }

    @Test("an argument that is not UTF-8 is found by its position")
    func notUTF8() {
        let none: Int? = unsafe withCStrings(["a", "ü"]) { unsafe Main.malformedArgument(2, $0) }
        #expect(none == nil)
        let position: Int? = unsafe withCStrings(["a", "xx"]) { arguments in
            unsafe arguments[1]?[0] = -1
            return unsafe Main.malformedArgument(2, arguments)
        }
        #expect(position == 1)
    }
}
