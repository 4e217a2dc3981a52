import Foundation
import TestSupport
import Testing

@testable import Sandboxing

@Suite("UserSlots")
struct UserSlotsTests {
    private static func workspace(_ name: String, in directory: String) throws -> String {
        let path = "\(directory)/\(name)"
        try HostFiles.makeDirectory(path)
        return path
    }

    @Test("each workspace has a number of its own, and keeps it")
    func distinct() async throws {
        try await withDirectory { directory in
            let slots = UserSlots(path: directory + "/users")
            let (a, b) = (try Self.workspace("w/a", in: directory), try Self.workspace("w/b", in: directory))
            #expect(try slots.slot(of: a, below: 10) == 1)
            #expect(try slots.slot(of: b, below: 10) == 2)
            #expect(try slots.slot(of: a, below: 10) == 1)
            #expect(try slots.workspace(of: 2) == b)
            #expect(try slots.workspace(of: 3) == nil)
        }
    }

    @Test("the number of a workspace that is gone is given again, and not before others are used up")
    func givenBack() async throws {
        try await withDirectory { directory in
            let slots = UserSlots(path: directory + "/users")
            let (a, b) = (try Self.workspace("w/a", in: directory), try Self.workspace("w/b", in: directory))
            _ = try slots.slot(of: a, below: 4)
            _ = try slots.slot(of: b, below: 4)
            try FileManager.default.removeItem(atPath: a)
            #expect(try slots.slot(of: try Self.workspace("w/c", in: directory), below: 4) == 3)
            #expect(try slots.slot(of: try Self.workspace("w/d", in: directory), below: 4) == 1)
        }
    }

    @Test("when all numbers are taken nothing is changed and the node is at fault")
    func exhausted() async throws {
        try await withDirectory { directory in
            let slots = UserSlots(path: directory + "/users")
            _ = try slots.slot(of: try Self.workspace("w/a", in: directory), below: 2)
            let before = try HostFiles.contents(of: directory + "/users")
            let b = try Self.workspace("w/b", in: directory)
            let error = #expect(throws: SandboxError.self) { try slots.slot(of: b, below: 2) }
            #expect(error?.isHostFault == true)
            #expect(try HostFiles.contents(of: directory + "/users") == before)
        }
    }

    @Test("two nodes of one user never share a number")
    func nodes() async throws {
        try await withDirectory { directory in
            let (one, two) = (
                UserSlots(path: directory + "/one", shared: directory + "/shared"),
                UserSlots(path: directory + "/two", shared: directory + "/shared")
            )
            var numbers: [UInt32] = []
            for index in 0..<3 {
                numbers.append(try one.slot(of: try Self.workspace("w1/\(index)", in: directory), below: 100))
                numbers.append(try two.slot(of: try Self.workspace("w2/\(index)", in: directory), below: 100))
            }
            #expect(Set(numbers).count == 6)
        }
    }

    @Test("a node that remembers a number from before the shared file keeps it where it is free")
    func remembered() async throws {
        try await withDirectory { directory in
            let workspace = try Self.workspace("w/a", in: directory)
            try HostFiles.replace(directory + "/own", with: Array("7\t\(workspace)\n".utf8))
            let slots = UserSlots(path: directory + "/own", shared: directory + "/shared")
            #expect(try slots.slot(of: workspace, below: 100) == 7)
        }
    }

    @Test("a remembered number that another workspace has now is not shared")
    func rememberedTaken() async throws {
        try await withDirectory { directory in
            let (a, b) = (try Self.workspace("w/a", in: directory), try Self.workspace("w/b", in: directory))
            try HostFiles.replace(directory + "/own", with: Array("7\t\(a)\n".utf8))
            try HostFiles.replace(directory + "/shared", with: Array("7\t\(b)\n".utf8))
            let slots = UserSlots(path: directory + "/own", shared: directory + "/shared")
            #expect(try slots.slot(of: a, below: 100) == 8)
        }
    }

    @Test(
        "a file that is not whole, or gives a number twice, gives none",
        arguments: ["1\t/a", "1\t/a\n1\t/b\n", "x\t/a\n", "1 /a\n"])
    func malformed(text: String) async throws {
        try await withDirectory { directory in
            try HostFiles.replace(directory + "/users", with: Array(text.utf8))
            let slots = UserSlots(path: directory + "/users")
            let workspace = try Self.workspace("w/a", in: directory)
            let error = #expect(throws: SandboxError.self) { try slots.slot(of: workspace, below: 10) }
            #expect(error?.isHostFault == true)
            #expect(throws: HostFileError.self) { try slots.workspace(of: 1) }
        }
    }

    @Test("a workspace whose whole disk is absent keeps its number as long as others are free")
    func absentDisk() async throws {
        try await withDirectory { directory in
            try HostFiles.replace(directory + "/users", with: Array("1\t\(directory)/disk/w/a\n".utf8))
            let slots = UserSlots(path: directory + "/users")
            #expect(try slots.slot(of: try Self.workspace("w/b", in: directory), below: 3) == 2)
            #expect(try slots.workspace(of: 1) != nil)
            #expect(try slots.slot(of: try Self.workspace("w/c", in: directory), below: 3) == 1)
        }
    }

    @Test("a link to a workspace is that workspace")
    func links() async throws {
        try await withDirectory { directory in
            let slots = UserSlots(path: directory + "/users")
            let workspace = try Self.workspace("w/a", in: directory)
            try FileManager.default.createSymbolicLink(atPath: directory + "/l", withDestinationPath: workspace)
            #expect(try slots.slot(of: workspace, below: 10) == (try slots.slot(of: directory + "/l", below: 10)))
        }
    }
}
