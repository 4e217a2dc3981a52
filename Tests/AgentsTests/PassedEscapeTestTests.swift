import Foundation
import Sandboxing
import TestSupport
import Testing

@testable import Agents

@Suite("PassedEscapeTest")
struct PassedEscapeTestTests {
    @Test("a test is remembered as long as nothing has changed")
    func remembered() async throws {
        try await withDirectory { directory in
            let passed = PassedEscapeTest(circumstances: ["boot 1", "kernel 2"])
            #expect(try !passed.isRemembered(in: directory + "/f"))
            try passed.remember(in: directory + "/f")
            #expect(try passed.isRemembered(in: directory + "/f"))
        }
    }

    @Test(
        "any change makes the node wait again",
        arguments: [[], ["boot 1"], ["boot 1", "kernel 3"], ["kernel 2", "boot 1"], ["boot 1", "kernel 2", "x"]])
    func changed(circumstances: [String]) async throws {
        try await withDirectory { directory in
            try PassedEscapeTest(circumstances: ["boot 1", "kernel 2"]).remember(in: directory + "/f")
            #expect(try !PassedEscapeTest(circumstances: circumstances).isRemembered(in: directory + "/f"))
        }
    }

    @Test("a line break inside one circumstance cannot stand for two")
    func lineBreaks() async throws {
        try await withDirectory { directory in
            try PassedEscapeTest(circumstances: ["a\nb"]).remember(in: directory + "/f")
            #expect(try !PassedEscapeTest(circumstances: ["a", "b"]).isRemembered(in: directory + "/f"))
        }
    }

    @Test("a file that was cut off is no test, one that cannot be read is an error")
    func cutOff() async throws {
        try await withDirectory { directory in
            let passed = PassedEscapeTest(circumstances: ["a"])
            try HostFiles.replace(directory + "/f", with: Array("a\n".utf8))
            #expect(try !passed.isRemembered(in: directory + "/f"))
            #expect(throws: HostFileError.self) { try passed.isRemembered(in: directory) }
        }
    }

    @Test("a forgotten test is not remembered, and forgetting twice is no error")
    func forgotten() async throws {
        try await withDirectory { directory in
            let passed = PassedEscapeTest(circumstances: ["a"])
            try passed.remember(in: directory + "/f")
            try PassedEscapeTest.forget(directory + "/f")
            try PassedEscapeTest.forget(directory + "/f")
            #expect(try !passed.isRemembered(in: directory + "/f"))
        }
    }
}
