import Foundation
import TestSupport
import Testing

@testable import orchestra

@Suite("InputFile")
struct InputFileTests {
    @Test("a regular file is read to its end")
    func regular() async throws {
        try await withDirectory { directory in
            let bytes = [UInt8](repeating: 0x78, count: 200_000)
            try Data(bytes).write(to: URL(fileURLWithPath: directory + "/f"))
            #expect(try InputFile.read(directory + "/f", limit: 200_000) == bytes)
        }
    }

    @Test("a pipe is read to its end, as process substitution needs")
    func pipe() throws {
        var ends: [Int32] = [0, 0]
        try #require(unsafe Foundation.pipe(&ends) == 0)
        #expect(Output.write(Array("from a pipe".utf8), to: ends[1]) == 0)
        close(ends[1])
        defer { close(ends[0]) }
        #expect(try InputFile.read("/dev/fd/\(ends[0])", limit: 100) == Array("from a pipe".utf8))
    }

    @Test("a file that is longer than the limit is refused")
    func limit() async throws {
        try await withDirectory { directory in
            try Data([1, 2, 3]).write(to: URL(fileURLWithPath: directory + "/f"))
            #expect(try InputFile.read(directory + "/f", limit: 3).count == 3)
            let error = #expect(throws: CommandError.self) { try InputFile.read(directory + "/f", limit: 2) }
            #expect(error?.message.contains("more than 2 bytes") == true)
        }
    }

    @Test("a missing file and a directory are named with the system's reason")
    func reasons() {
        let missing = #expect(throws: CommandError.self) { try InputFile.read("/nonexistent", limit: 1) }
        #expect(missing?.message == "the file /nonexistent cannot be read: No such file or directory")
        let directory = #expect(throws: CommandError.self) { try InputFile.read("/", limit: 1) }
        #expect(directory?.message.contains("Is a directory") == true)
    }

    @Test("a file without an end is read no further than the limit")
    func endless() {
        #expect(throws: CommandError.self) { try InputFile.read("/dev/zero", limit: 1000) }
    }

    @Test("text that is not UTF-8 is refused")
    func text() throws {
        #expect(try InputFile.text(Array("ä".utf8), of: "f") == "ä")
        #expect(throws: CommandError.self) { try InputFile.text([0xff], of: "f") }
    }
}
