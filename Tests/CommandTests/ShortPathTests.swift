import Foundation
import TestSupport
import Testing

@testable import orchestra

@Suite("ShortPath")
struct ShortPathTests {
    /// A directory with a long name, and what gives it a short one; `runtime` makes a runtime directory of this mode.
    private func with(
        runtime mode: Int? = nil, _ body: (_ long: String, _ base: String, ShortPath) throws -> Void
    ) async throws {
        try await withDirectory { base in
            let long = base + "/" + String(repeating: "x", count: 200)
            try FileManager.default.createDirectory(atPath: long, withIntermediateDirectories: true)
            if let mode {
                try FileManager.default.createDirectory(
                    atPath: base + "/run", withIntermediateDirectories: false, attributes: [.posixPermissions: mode])
            }
            try body(
                long, base,
                ShortPath(runtimeDirectory: mode == nil ? nil : base + "/run", temporaryDirectory: base))
        }
    }

    @Test("a path that is short enough stays as it is")
    func short() throws {
        #expect(try ShortPath(runtimeDirectory: nil).path(of: "/var/lib/orchestra", limit: 51) == "/var/lib/orchestra")
    }

    @Test("a long directory is reached by a short link in a private directory")
    func long() async throws {
        try await self.with { long, base, short in
            let path = try short.path(of: long, limit: 80)
            #expect(path.utf8.count <= 80 && path.hasPrefix("\(base)/orchestra-\(geteuid())/"))
            try "x".write(toFile: path + "/file", atomically: false, encoding: .utf8)
            #expect(Host.exists(long + "/file"))
            let attributes = try FileManager.default.attributesOfItem(atPath: base + "/orchestra-\(geteuid())")
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o700)
        }
    }

    @Test("the link is in the runtime directory when that is private")
    func runtime() async throws {
        try await self.with(runtime: 0o700) { long, base, short in
            let path = try short.path(of: long, limit: 80)
            #expect(path.hasPrefix(base + "/run/orchestra/"))
        }
    }

    @Test("a runtime directory that others can read is not used")
    func openRuntime() async throws {
        try await self.with(runtime: 0o755) { long, base, short in
            let path = try short.path(of: long, limit: 80)
            #expect(path.hasPrefix("\(base)/orchestra-"))
        }
    }

    @Test("the same directory has the same link, another has another")
    func stable() async throws {
        try await self.with { long, _, short in
            let path = try short.path(of: long, limit: 80)
            #expect(try short.path(of: long, limit: 80) == path)
            #expect(try short.path(of: long + "/y", limit: 80) != path)
        }
    }

    @Test("a link that leads elsewhere is replaced")
    func replaced() async throws {
        try await self.with { long, base, short in
            let path = try short.path(of: long, limit: 80)
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: base)
            _ = try short.path(of: long, limit: 80)
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path) == long)
        }
    }

    @Test("a directory for links that is open to others is refused")
    func openPlace() async throws {
        try await self.with { long, base, short in
            let place = "\(base)/orchestra-\(geteuid())"
            try FileManager.default.createDirectory(
                atPath: place, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: place)
            let error = #expect(throws: CommandError.self) { try short.path(of: long, limit: 80) }
            #expect(error?.status == .configuration && error?.message.contains("mode 0700") == true)
        }
    }

    @Test("a directory for links that is a link itself is refused")
    func linkedPlace() async throws {
        try await self.with { long, base, short in
            try FileManager.default.createSymbolicLink(
                atPath: "\(base)/orchestra-\(geteuid())", withDestinationPath: long)
            #expect(throws: CommandError.self) { try short.path(of: long, limit: 80) }
        }
    }

    @Test("when no link can be short enough, the limit is named")
    func impossible() async throws {
        try await self.with { long, _, short in
            let error = #expect(throws: CommandError.self) { try short.path(of: long, limit: 10) }
            #expect(error?.message.contains("at most 10 bytes") == true)
        }
    }
}
