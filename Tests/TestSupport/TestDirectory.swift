import Foundation

/// A directory of the test's own, removed afterwards. Its path is short, because sockets lie in it.
package func withDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let name = String(UInt64.random(in: 0...UInt64.max), radix: 36)
    let path = "/tmp/orc-\(name)"
    try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

/// Where the package's sources lie.
package var packageRoot: String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .path
}

/// Where the built executables lie: next to the test runner.
package var buildDirectory: String {
    let runner = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    let directory = URL(fileURLWithPath: runner).deletingLastPathComponent().path
    if FileManager.default.isExecutableFile(atPath: directory + "/orchestra") { return directory }
    return packageRoot + "/.build/debug"
}

/// Waits until the condition holds, looking again after each millisecond or so; throws past the limit. For
/// the state of other processes, which nothing announces.
package func eventually(
    within limit: Duration = .seconds(60), _ what: String, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await ContinuousClock().sleep(for: .milliseconds(5))
    }
    throw TestFailure("did not come true within \(limit): \(what)")
}

package struct TestFailure: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// True when the program is installed; tests that need it say so in their trait.
package func isInstalled(_ program: String) -> Bool {
    ["/usr/bin", "/usr/sbin", "/usr/local/bin"].contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
    }
}

package var isRoot: Bool { geteuid() == 0 }
