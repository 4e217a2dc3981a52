import Foundation
import Policy
import TestSupport
import Testing

@testable import orchestra

@Suite("Host")
struct HostTests {
    private func mode(_ path: String) throws -> Int? {
        (try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue
    }

    @Test("a private directory is made with mode 0700, with the directories above it")
    func privateDirectory() async throws {
        try await withDirectory { directory in
            let path = try Host.privateDirectory(directory + "/a/b")
            #expect(try self.mode(path) == 0o700)
            #expect(try Host.privateDirectory(path) == path)
        }
    }

    @Test("a private directory in the place of a file is refused")
    func notADirectory() async throws {
        try await withDirectory { directory in
            try Host.writePrivate(directory + "/f", "x")
            #expect(throws: CommandError.self) { try Host.privateDirectory(directory + "/f/g") }
        }
    }

    @Test("a private file has mode 0600 and replaces an older one")
    func privateFile() async throws {
        try await withDirectory { directory in
            try Host.writePrivate(directory + "/f", "old")
            try Host.writePrivate(directory + "/f", "new")
            #expect(try String(contentsOfFile: directory + "/f", encoding: .utf8) == "new")
            #expect(try self.mode(directory + "/f") == 0o600)
        }
    }

    @Test(
        "a private file that may be lost with the power is not reported as written",
        .enabled(if: !isRoot, "root may list every directory"))
    func unsyncedFile() async throws {
        try await withDirectory { directory in
            // A file can be made in a directory that cannot be listed, but the name cannot be brought to disk.
            func mode(_ mode: Int) throws {
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: directory)
            }
            try mode(0o300)
            #expect(throws: CommandError.self) { try Host.writePrivate(directory + "/f", "x") }
            try mode(0o700)
            try Host.writePrivate(directory + "/f", "y")
            #expect(try String(contentsOfFile: directory + "/f", encoding: .utf8) == "y")
        }
    }

    @Test("a lock that is held is refused with what holds it and what to do")
    func lock() async throws {
        try await withDirectory { directory in
            try Host.lock(directory + "/lock", what: "orchestra dev")
            let error = #expect(throws: CommandError.self) { try Host.lock(directory + "/lock", what: "orchestra dev") }
            #expect(error?.message.contains("another orchestra dev runs with this state directory") == true)
            #expect(error?.message.contains("ORCHESTRA_STATE_DIRECTORY") == true)
        }
    }

    @Test("a missing program is named with its package")
    func missingProgram() {
        let error = #expect(throws: CommandError.self) { try Host.program("no-such-program", package: "p") }
        #expect(error?.status == .unavailable && error?.message.contains("apt-get install p") == true)
    }

    @Test("a host name is a valid node name")
    func hostName() { #expect(!Host.hostName().isEmpty) }

    @Test("an error number has the system's text")
    func reason() { #expect(Host.reason(ENOENT) == "No such file or directory") }
}

@Suite("PolicyFiles")
struct PolicyFilesTests {
    @Test("the policies of the checkout are loaded")
    func load() throws { #expect(try !PolicyFiles.load(packageRoot + "/Policies").actions.isEmpty) }

    @Test("a directory that is missing is refused")
    func missing() {
        let error = #expect(throws: CommandError.self) { try PolicyFiles.load("/nonexistent") }
        #expect(error?.status == .configuration)
    }

    @Test("a file that is not JSON by name is refused")
    func otherFile() async throws {
        try await withDirectory { directory in
            try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: directory + "/p")
            try "x".write(toFile: directory + "/p/actions/notes.txt", atomically: true, encoding: .utf8)
            let error = #expect(throws: CommandError.self) { try PolicyFiles.load(directory + "/p") }
            #expect(error?.message.contains("notes.txt is not a .json file") == true)
        }
    }
}
