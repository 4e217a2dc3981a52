import Domain
import Foundation
import TestSupport
import Testing

@Suite("The command line's output", .enabled(if: !isRoot, "the node refuses to run as root"))
struct CommandLineOutputTests {
    private func shell(_ script: String) async throws -> (code: Int32, output: String, errors: String) {
        try await runProgram("/bin/bash", ["-c", script, "bash", buildDirectory + "/orchestra"])
    }

    @Test(
        "a full disk is an error with the system's reason and status 74", arguments: ["config", "--version", "--help"])
    func full(arguments: String) async throws {
        let result = try await self.shell("\"$1\" \(arguments) >/dev/full")
        #expect(result.code == 74)
        #expect(result.errors == "error: the output cannot be written: No space left on device\n")
    }

    @Test("a closed pipe is quiet, with status 74")
    func closedPipe() async throws {
        let result = try await self.shell("\"$1\" config | true; echo ${PIPESTATUS[0]}")
        // The pipe may take all of it before its reader ends.
        #expect(["0\n", "74\n"].contains(result.output) && result.errors.isEmpty, "\(result.output)\(result.errors)")
        let closed = try await self.shell("exec 3> >(true); wait $!; \"$1\" config >&3; echo $?")
        #expect(closed.output == "74\n" && closed.errors.isEmpty, "\(closed.output)\(closed.errors)")
    }

    @Test("an argument that is not UTF-8 is refused")
    func notUTF8() async throws {
        let result = try await self.shell("\"$1\" submit $'\\xff'")
        #expect(result.code == 64 && result.errors.contains("argument 2 is not valid UTF-8"), "\(result.errors)")
    }

    @Test("a secret is read from process substitution")
    func processSubstitution() async throws {
        let result = try await self.shell("REDIS_PASSWORD_FILE=<(echo secret) \"$1\" config")
        #expect(result.code == 0 && result.output.contains("redis.password = <secret>"), "\(result.errors)")
    }

    @Test("a log reader that stands still does not stop the node")
    func stalledLogReader() async throws {
        try await Installation.with { installation in
            let pipe = installation.directory + "/log.pipe"
            let made = unsafe mkfifo(pipe, 0o600)
            try #require(made == 0)
            // Open for reading and writing, filled, and never read.
            let descriptor = unsafe open(pipe, O_RDWR | O_NONBLOCK | O_CLOEXEC)
            defer { close(descriptor) }
            let full = [UInt8](repeating: 0x0a, count: 4096)
            while unsafe write(descriptor, full, full.count) > 0 {}
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"], environment: installation.environment(node: "n1"), log: pipe)
            try await node.start()
            do {
                try await eventually("the node is ready") {
                    try await installation.command(["status"]).output.contains("n1: ready")
                }
                _ = try await installation.ended(try await installation.submit("queue.noop", [:]))
                await node.signal(SIGTERM)
                #expect(try await node.wait().code == 0)
            } catch {
                await node.kill9()
                throw error
            }
        }
    }
}
