import Domain
import Foundation
import Jobs
import TestSupport
import Testing

/// A node that has no descriptor or no space left harms no job, says what it lacks, and goes on by itself.
@Suite("A node short of descriptors or space", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct NodeShortageTests {
    @Test(
        "without free descriptors a node returns its jobs uncounted, answers with the reason, and goes on when it has some",
        .enabled(if: isInstalled("prlimit") && isInstalled("curl"), "needs prlimit and curl"))
    func descriptors() async throws {
        try await Installation.with { installation in
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"],
                environment: installation.environment(node: "n1").merging(["ORCHESTRA_API_LISTEN": "127.0.0.1:0"]) {
                    $1
                }, log: "\(installation.directory)/n1.log")
            try await installation.start(node)
            let first = try await installation.submit("shell.run", ["command": "true"])
            #expect(try await installation.ended(first).state == .completed)
            let api = try await Self.port(node, "the API is open", "api.port")
            // Enough for a request, too few for a launch.
            try await Self.limit(node, try await Self.openDescriptors(node) + 6)
            let job = try await installation.submit("shell.run", ["command": "true"])
            try await eventually("the node says what it lacks") {
                let status = try await installation.command(["status"]).output
                return status.contains("not ready") && status.contains("Too many open files")
            }
            try await eventually("the job waits") { try await installation.record(job).state == .available }
            // Without any it cannot answer, and does not use a core to fail at it.
            try await Self.limit(node, 8)
            let before = try Self.processorTime(await node.processID)
            let request = ["-s", "-m", "2", "http://127.0.0.1:\(api)/openapi.json"]
            #expect(try await runProgram("/usr/bin/curl", request).code == 28)
            let unanswered = try await installation.command(["status"])
            let spent = try Self.processorTime(await node.processID) - before
            #expect(unanswered.code == 69 && unanswered.errors.contains("within 10 s"), "\(unanswered)")
            #expect(spent < 300, "\(spent) hundredths of a second in twelve seconds")
            try await Self.limit(node, 1024)
            let record = try await installation.ended(job)
            #expect(record.state == .completed && record.failures == 0 && record.crashes == 0, "\(record.reason)")
            #expect(record.node == "n1")
            try await eventually("the node is ready") {
                try await !installation.command(["status"]).output.contains("not ready")
            }
            #expect(try await runProgram("/usr/bin/curl", request).output.contains("openapi"))
            #expect(await node.output.ranges(of: "the API is open").count == 1)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    /// How many descriptors a node has open, by its metrics.
    private static func openDescriptors(_ node: ManagedProcess) async throws -> Int {
        let port = try await self.port(node, "the probe port is open", "probe.port")
        let metrics = try await runProgram("/usr/bin/curl", ["-s", "http://127.0.0.1:\(port)/metrics"]).output
        let count = try #require(metrics.split(separator: "\n").first { $0.hasPrefix("process_open_fds ") })
        return Int(try #require(Double(count.split(separator: " ")[1])))
    }

    /// The port that a line of the node's log names.
    private static func port(_ node: ManagedProcess, _ message: String, _ name: String) async throws -> String {
        let lines = await node.output.split(separator: "\n")
        let line = try #require(lines.first { $0.contains(message) })
        return try #require(try JSONParser.parse(Array(line.utf8))[name]?.string)
    }

    /// Limits the descriptors of a process; those above the limit stay open.
    private static func limit(_ node: ManagedProcess, _ count: Int) async throws {
        let result = try await runProgram(
            "/usr/bin/prlimit", ["--pid", String(await node.processID), "--nofile=\(count):"])
        #expect(result.code == 0, "\(result.errors)")
    }

    /// Hundredths of a second that a process has spent.
    private static func processorTime(_ process: Int32) throws -> Int {
        let stat = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        return (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0)
    }

    @Test(
        "without space a node returns its jobs uncounted, answers with the reason, and goes on when there is some",
        .enabled(if: Self.mayMount, "this user cannot mount a file system in a namespace of its own"))
    func space() async throws {
        try await Installation.with { installation in
            let node = ManagedProcess(
                "/usr/bin/unshare",
                ["--user", "--map-current-user", "--mount", "--keep-caps", "/bin/bash", "-c", Self.script]
                    + ["node", installation.directory, buildDirectory + "/orchestra"],
                environment: installation.environment(node: "n1"), log: "\(installation.directory)/n1.log")
            try FileManager.default.createDirectory(
                atPath: installation.directory + "/n1", withIntermediateDirectories: false)
            try await installation.start(node)
            let first = try await installation.submit("shell.run", ["command": "true"])
            #expect(try await installation.ended(first).state == .completed)
            try await Self.order("fill", installation)
            var jobs = [try await installation.submit("agent.run", ["agent": "shell", "prompt": "exit"])]
            jobs.append(try await installation.submit("shell.run", ["command": "true"], workspace: "beta"))
            let port = try await Self.port(node, "the probe port is open", "probe.port")
            try await eventually("the node says what it lacks") {
                try await runProgram("/usr/bin/curl", ["-s", "http://127.0.0.1:\(port)/readyz?verbose"]).output
                    .contains("No space left on device")
            }
            try await eventually("the jobs wait") {
                let states = [
                    try await installation.record(jobs[0]).state,
                    try await installation.record(jobs[1], workspace: "beta").state,
                ]
                return states.allSatisfy { $0 == .available }
            }
            try await Self.order("free", installation)
            for (job, workspace) in zip(jobs, ["acme", "beta"]) {
                try await eventually(within: .seconds(90), "the node goes on") {
                    try await installation.record(job, workspace: workspace).state.isFinal
                }
                let record = try await installation.record(job, workspace: workspace)
                #expect(record.state == .completed && record.failures == 0, "\(record.state) \(record.reason)")
            }
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    /// Asks the helper next to the node to fill or to free its file system, and waits until it has.
    private static func order(_ name: String, _ installation: Installation) async throws {
        let path = installation.directory + "/" + name
        try Data().write(to: URL(filePath: path))
        try await eventually("the file system is changed: \(name)") { !FileManager.default.fileExists(atPath: path) }
    }

    /// Mounts a small file system over the node's state directory and becomes the node. A helper in the same namespace
    /// fills and frees it, with blocks and with names.
    private static let script = #"""
        state="$1/n1"
        mount -t tmpfs -o size=4m,nr_inodes=300,mode=700 tmpfs "$state" || exit 71
        node=$$
        ( exec </dev/null >/dev/null 2>&1
          while kill -0 "$node"; do
            if [ -e "$1/fill" ]; then
              dd if=/dev/zero of="$state/ballast" bs=64k
              i=0; while touch "$state/ballast.$i"; do i=$((i + 1)); done
              rm "$1/fill"
            elif [ -e "$1/free" ]; then
              rm -f "$state"/ballast*; rm "$1/free"
            fi
            sleep 0.1
          done ) &
        exec setpriv --ambient-caps=-all --inh-caps=-all "$2" worker
        """#

    private static let mayMount: Bool = {
        guard isInstalled("unshare"), isInstalled("setpriv"), isInstalled("curl") else { return false }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/unshare")
        process.arguments = [
            "--user", "--map-current-user", "--mount", "--keep-caps", "/bin/sh", "-c",
            "mount -t tmpfs tmpfs /mnt 2>/dev/null",
        ]
        process.standardError = FileHandle.nullDevice
        do { try process.run() } catch { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()
}
