import Foundation
import TestSupport
import Testing

@testable import Sandboxing

@Suite("SmallCopy")
struct SmallCopyTests {
    private func put(_ size: Int, _ path: String, mode: Int = 0o644) throws {
        try HostFiles.makeDirectory((path as NSString).deletingLastPathComponent)
        try HostFiles.replace(path, with: [UInt8](repeating: 1, count: size))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    private func open(_ path: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    }

    @Test("a file, the file that a link leads to, and a directory with few files are copied, parents first")
    func copies() async throws {
        try await withDirectory { directory in
            let root = directory + "/e"
            try self.put(3, root + "/a")
            try self.put(2, root + "/d/b")
            for path in [root, root + "/d"] { try self.open(path) }
            let copy = try #require(SmallCopy(of: root))
            #expect(copy.directories == [root, root + "/d"])
            #expect(copy.files.map(\.path) == [root + "/a", root + "/d/b"] && copy.files[0].content == [1, 1, 1])
            try FileManager.default.createSymbolicLink(atPath: directory + "/l", withDestinationPath: root + "/a")
            #expect(SmallCopy(of: directory + "/l")?.files.map(\.path) == [directory + "/l"])
        }
    }

    @Test("what is large, has many files or a link, or is not for everybody, is not copied")
    func refused() async throws {
        try await withDirectory { directory in
            try self.put(128 * 1024 + 1, directory + "/large")
            try self.put(1, directory + "/secret", mode: 0o640)
            for number in 0..<20 { try self.put(1, "\(directory)/many/\(number)") }
            try HostFiles.makeDirectory(directory + "/link")
            try FileManager.default.createSymbolicLink(
                atPath: directory + "/link/l", withDestinationPath: "/etc/shadow")
            try self.put(1, directory + "/closed/f")
            for name in ["many", "link"] { try self.open("\(directory)/\(name)") }
            for name in ["large", "secret", "many", "link", "closed", "absent"] {
                #expect(SmallCopy(of: "\(directory)/\(name)") == nil, "\(name)")
            }
        }
    }
}
