import Sandboxing
import TestSupport
import Testing

@testable import Agents

@Suite("LaunchCheck")
struct LaunchCheckTests {
    @Test("a directory that can be written passes and is left as it was")
    func writable() async throws {
        try await withDirectory { directory in
            try LaunchCheck.write(in: directory)
            #expect(try HostFiles.names(in: directory) == [])
        }
    }

    @Test("a place where no directory can be made is a problem with the kernel's reason")
    func blocked() async throws {
        try await withDirectory { directory in
            try HostFiles.replace(directory + "/file", with: [1])
            let error = #expect(throws: HostFileError.self) { try LaunchCheck.write(in: directory + "/file/x") }
            #expect(error?.description.contains("Not a directory") == true)
        }
    }
}
