import Foundation
import TestSupport
import Testing

@testable import Sandboxing

@Suite("HostFiles")
struct HostFilesTests {
    @Test("a directory that does not exist is nil, an empty one is empty")
    func names() async throws {
        try await withDirectory { directory in
            let (absent, empty) = (try HostFiles.names(in: directory + "/none"), try HostFiles.names(in: directory))
            #expect(absent == nil && empty == [])
        }
    }

    @Test("what is not a directory cannot be listed, which is not the same as absent")
    func unlistable() async throws {
        try await withDirectory { directory in
            try HostFiles.replace(directory + "/file", with: [1])
            let error = #expect(throws: HostFileError.self) { try HostFiles.names(in: directory + "/file") }
            #expect(error?.code == ENOTDIR && error?.path == directory + "/file")
        }
    }

    @Test("a file that does not exist is nil; a directory cannot be read as one")
    func contents() async throws {
        try await withDirectory { directory in
            let absent = try HostFiles.contents(of: directory + "/none")
            #expect(absent == nil)
            #expect(throws: HostFileError.self) { try HostFiles.contents(of: directory) }
        }
    }

    @Test("a file below what is not a directory is unreadable, not absent")
    func belowFile() async throws {
        try await withDirectory { directory in
            try HostFiles.replace(directory + "/file", with: [1])
            #expect(throws: HostFileError.self) { try HostFiles.contents(of: directory + "/file/x") }
            #expect(throws: HostFileError.self) { try HostFiles.status(of: directory + "/file/x") }
        }
    }

    @Test("bytes are read from an offset, at most as many as asked for")
    func range() async throws {
        try await withDirectory { directory in
            let path = directory + "/file"
            try HostFiles.replace(path, with: Array(0..<100))
            #expect(try HostFiles.contents(of: path, from: 10, limit: 5) == [10, 11, 12, 13, 14])
            #expect(try HostFiles.contents(of: path, from: 98) == [98, 99])
            #expect(try HostFiles.contents(of: path, from: 200) == [])
        }
    }

    @Test("a replaced file has mode 0600 and leaves no draft")
    func replaced() async throws {
        try await withDirectory { directory in
            let path = directory + "/file"
            try HostFiles.replace(path, with: [1], isSynced: true)
            try HostFiles.replace(path, with: [2])
            #expect(try HostFiles.contents(of: path) == [2])
            #expect(try HostFiles.status(of: path).map { $0.st_mode & 0o777 } == 0o600)
            #expect(try HostFiles.names(in: directory) == ["file"])
        }
    }

    @Test("a directory is made with its parents, 0700, and one that exists is left")
    func made() async throws {
        try await withDirectory { directory in
            try HostFiles.makeDirectory(directory + "/a/b/c")
            try HostFiles.makeDirectory(directory + "/a/b/c")
            #expect(try HostFiles.status(of: directory + "/a/b").map { $0.st_mode & 0o777 } == 0o700)
        }
    }

    @Test("a link's text is read, and what is not a link is an error")
    func link() async throws {
        try await withDirectory { directory in
            try FileManager.default.createSymbolicLink(
                atPath: directory + "/l", withDestinationPath: "/nowhere")
            #expect(try HostFiles.link(directory + "/l") == "/nowhere")
            #expect(try HostFiles.link(directory + "/none") == nil)
            #expect(throws: HostFileError.self) { try HostFiles.link(directory) }
        }
    }

    @Test("an error names the path, what was tried and the kernel's reason")
    func description() {
        let error = HostFileError("read", "/x", code: EMFILE)
        #expect(error.description == "/x cannot be read: Too many open files")
    }
}
