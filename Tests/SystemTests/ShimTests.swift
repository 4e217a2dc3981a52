import Agents
import Domain
import Foundation
import Sandboxing
import ShimProtocol
import TestSupport
import Testing

@Suite("The shim", .serialized, .enabled(if: !isRoot, "bubblewrap is tried as an ordinary user"))
struct ShimTests {
    @Test(
        "a shim that is stopped at any moment of its launch leaves no process of the sandbox behind",
        arguments: ["agent", "command"])
    func stoppedWhileLaunching(verb: String) async throws {
        try await withDirectory { directory in
            let plan = TestSandbox.plan(.namespaces, directory: directory)
            let marker = directory.split(separator: "/").last.map(String.init) ?? ""
            try FileManager.default.createDirectory(atPath: directory + "/w", withIntermediateDirectories: false)
            var shims: [ManagedProcess] = []
            for round in 0..<60 {
                let path = "\(directory)/\(round)"
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                let argv = ["/bin/sleep", "600", marker]
                let spec = try plan.launch(
                    argv, profile: .measured, workspace: directory + "/w",
                    connection: verb == "agent"
                        ? .terminal(token: [1], orphanGrace: .seconds(1))
                        : .command(input: [], outputLimit: 1024, ownerPID: getpid()))
                let file = path + "/" + ShimFiles.launch
                try Data(spec.encoded).write(to: URL(fileURLWithPath: file))
                let shim = ManagedProcess(
                    "/bin/sh",
                    [
                        "-c",
                        "exec \(buildDirectory)/orchestra-shim \(verb == "agent" ? "agent \(path)" : "command < \(file)")",
                    ],
                    log: "\(directory)/\(round).log")
                try await shim.start()
                // Busy for a different while each round, so that the stop falls into every part of the launch.
                let end = ContinuousClock.now + .microseconds(400 * round)
                while ContinuousClock.now < end {}
                await shim.signal(SIGTERM)
                shims.append(shim)
            }
            for shim in shims { _ = try await shim.wait() }
            #expect(ProcessTable().matching(marker).isEmpty)
        }
    }
}
