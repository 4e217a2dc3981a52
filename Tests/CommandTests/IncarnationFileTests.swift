import Domain
import Foundation
import Logging
import TestSupport
import Testing

@testable import orchestra

@Suite("IncarnationFile")
struct IncarnationFileTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test("the first incarnation is the time and random bits")
    func first() { #expect(IncarnationFile.next(after: nil, milliseconds: 5, random: 7) == 5 << 16 | 7) }

    @Test("with a clock that advances the next is of the new time")
    func advancing() { #expect(IncarnationFile.next(after: 5 << 16, milliseconds: 6, random: 0) == 6 << 16) }

    @Test("with a clock that was set back the next is still greater")
    func setBack() {
        let last = UInt64(9) << 16 | 3
        #expect(IncarnationFile.next(after: last, milliseconds: 1, random: 0xffff) == last + 1)
    }

    @Test("random bits beyond sixteen do not change the time")
    func random() { #expect(IncarnationFile.next(after: nil, milliseconds: 1, random: 0x1_0000) == 1 << 16) }

    @Test("malformed text is not a number", arguments: ["", "x", "-1", "18446744073709551615", "18446744073709551616"])
    func malformed(text: String) { #expect(IncarnationFile.number(in: text) == nil) }

    @Test("each start has a greater incarnation, also at the same time")
    func persisted() async throws {
        try await withDirectory { directory in
            let file = IncarnationFile(path: directory + "/incarnation")
            let first = try file.next(milliseconds: 1_000, logger: self.logger)
            let second = try file.next(milliseconds: 1, logger: self.logger)
            let third = try file.next(milliseconds: 1, logger: self.logger)
            #expect(first.value < second.value && second.value < third.value)
        }
    }

    @Test("a malformed file does not keep a node from starting")
    func malformedFile() async throws {
        try await withDirectory { directory in
            try "x".write(toFile: directory + "/incarnation", atomically: true, encoding: .utf8)
            let file = IncarnationFile(path: directory + "/incarnation")
            #expect(try file.next(milliseconds: 2, logger: self.logger).value >> 16 == 2)
        }
    }

    @Test("a file that cannot be read is an error")
    func unreadable() async throws {
        try await withDirectory { directory in
            let file = IncarnationFile(path: directory)
            #expect(throws: CommandError.self) { try file.next(milliseconds: 2, logger: self.logger) }
        }
    }
}
