import Foundation
import Redis
import TestSupport
import Testing

/// Real sentinels and a real cluster, on loopback ports of their own.
@Suite(
    "Fail-over and clusters", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"),
    .enabled(if: isInstalled("redis-cli"), "needs redis-cli"))
struct TopologyTests {
    /// Redis servers of a test, dead when it ends.
    private final class Servers: Sendable {
        let directory: String
        let ports: [Int]
        let processes: [ManagedProcess]

        /// `arguments` of each server, which gets its port and a directory of its own.
        init(_ directory: String, ports: [Int], arguments: (Int) -> [String]) throws {
            self.directory = directory
            self.ports = ports
            self.processes = try ports.map { port in
                let home = "\(directory)/\(port)"
                try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
                return ManagedProcess(
                    "/usr/bin/redis-server",
                    ["--port", String(port), "--bind", "127.0.0.1", "--dir", home, "--save", ""] + arguments(port),
                    log: "\(home)/log")
            }
        }

        func start() async throws {
            for (process, port) in zip(self.processes, self.ports) {
                try await process.start()
                try await eventually("the server at \(port) answers") {
                    guard await process.isRunning else {
                        throw TestFailure("the server ended: \(await process.output)")
                    }
                    return try await Self.cli(port, "PING").contains("PONG")
                }
            }
        }

        func end() async { for process in self.processes { await process.kill9() } }

        static func cli(_ port: Int, _ arguments: String...) async throws -> String {
            try await runProgram("/usr/bin/redis-cli", ["-p", String(port)] + arguments).output
        }
    }

    /// Ports that are free now, below those that the system gives to outgoing connections: one of these at a cluster's
    /// second port would keep its server from starting.
    private static func ports(_ count: Int) -> [Int] {
        let start = Int.random(in: 16_000...31_000)
        return Array((start...).lazy.filter(Self.isFree).prefix(count))
    }

    private static func isFree(_ port: Int) -> Bool {
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(fd) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// A node and a command line that see Redis through the URL.
    private struct Site: Sendable {
        let directory: String
        let environment: [String: String]
        let node: ManagedProcess

        init(_ directory: String, url: String, lanes: Int = 1) {
            self.directory = directory
            let environment = [
                "HOME": directory, "REDIS_URL": url, "ORCHESTRA_MASTER_KEY": Installation.master,
                "ALLOW_ACTIONS_DEFAULT": "queue.noop", "ORCHESTRA_NODE_NAME": "n1", "ORCHESTRA_PROBE_PORT": "0",
                "ORCHESTRA_STATE_DIRECTORY": directory + "/state", "ORCHESTRA_QUEUE_LANES": String(lanes),
                "ORCHESTRA_POLICIES_DIRECTORY": packageRoot + "/Policies", "ORCHESTRA_QUEUE_LEASE": "5",
                "ORCHESTRA_SANDBOX_SELFTEST": "never",
            ]
            self.environment = environment
            self.node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"], environment: environment, log: directory + "/node.log")
        }

        func command(
            _ arguments: [String], change: [String: String] = [:]
        ) async throws -> (code: Int32, output: String, errors: String) {
            try await runProgram(
                buildDirectory + "/orchestra", arguments, environment: self.environment.merging(change) { $1 })
        }

        func start() async throws {
            try await self.node.start()
            try await eventually("the node is up") {
                guard await self.node.isRunning else {
                    throw TestFailure("the node ended: \(await self.node.output)")
                }
                return await self.node.output.contains("the node is up")
            }
        }

        /// A job that is submitted now comes to its end.
        func completes(_ workspace: String = "acme") async throws -> Bool {
            let answer = try await self.command(["submit", "queue.noop", "--workspace", workspace, "--wait"])
            return answer.code == 0
        }
    }

    @Test("a node goes on with the replica that the sentinels have made the master, and finishes what was accepted")
    func sentinel() async throws {
        try await withDirectory { directory in
            let ports = Self.ports(3)
            let (master, replica, sentinel) = (ports[0], ports[1], ports[2])
            let servers = try Servers(directory, ports: [master, replica]) { port in
                ["--appendonly", "yes", "--repl-diskless-sync-delay", "0"]
                    + (port == replica ? ["--replicaof", "127.0.0.1 \(master)"] : [])
            }
            let configuration = """
                port \(sentinel)
                bind 127.0.0.1
                dir \(directory)
                sentinel monitor main 127.0.0.1 \(master) 1
                sentinel down-after-milliseconds main 1000
                sentinel failover-timeout main 5000
                """
            try Data(configuration.utf8).write(to: URL(filePath: directory + "/sentinel.conf"))
            let watcher = ManagedProcess(
                "/usr/bin/redis-server", [directory + "/sentinel.conf", "--sentinel"], log: directory + "/sentinel.log")
            let site = Site(directory, url: "redis+sentinel://127.0.0.1:1,127.0.0.1:\(sentinel)/main")
            do {
                try await servers.start()
                try await watcher.start()
                try await eventually("the sentinel knows the replica") {
                    let known = try await Servers.cli(sentinel, "SENTINEL", "REPLICAS", "main")
                    let state = try await Servers.cli(master, "INFO", "replication")
                    return known.contains(String(replica)) && state.contains("state=online")
                }
                try await site.start()
                #expect(try await site.completes())
                let delayed = try await site.command(["submit", "queue.noop", "--delay", "4", "--json-output"])
                #expect(delayed.code == 0)
                try await eventually("the replica has it") {
                    try await Servers.cli(replica, "ZCARD", "orc:{l0}:due").contains("1")
                }
                // The master stands still, as a machine that hangs: nobody closes its connections.
                await servers.processes[0].signal(SIGSTOP)
                try await eventually("the sentinel has chosen the replica") {
                    try await Servers.cli(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
                        .contains(String(replica))
                }
                try await eventually(within: .seconds(30), "jobs come to their end again") {
                    try await site.completes()
                }
                try await eventually("the delayed job has come to its end") {
                    try await site.command(["jobs", "list", "--workspace", "default"]).output.contains("completed")
                }
                #expect(try await Servers.cli(replica, "ROLE").contains("master"))
                // The old one comes back and is a replica: nothing changes.
                await servers.processes[0].signal(SIGCONT)
                try await eventually(within: .seconds(30), "it has become a replica") {
                    try await Servers.cli(master, "ROLE").contains("slave")
                }
                #expect(try await site.completes())
            } catch {
                await watcher.kill9()
                await site.node.kill9()
                await servers.end()
                throw error
            }
            await watcher.kill9()
            await site.node.signal(SIGTERM)
            #expect(try await site.node.wait().code == 0)
            await servers.end()
        }
    }

    @Test("lanes spread over a cluster, each workspace in its own; a master's death moves its lanes to its replica")
    func cluster() async throws {
        try await withDirectory { directory in
            let free = Self.ports(12)
            let ports = Array(free.prefix(6))
            let second = Dictionary(uniqueKeysWithValues: zip(ports, free.suffix(6)))
            let servers = try Servers(directory, ports: ports) { port in
                [
                    "--appendonly", "yes", "--cluster-enabled", "yes", "--cluster-node-timeout", "1500",
                    "--repl-diskless-sync-delay", "0", "--cluster-port", String(second[port, default: 0]),
                ]
            }
            let seeds = ports.prefix(2).map { "127.0.0.1:\($0)" }.joined(separator: ",")
            let site = Site(directory, url: "redis+cluster://\(seeds)", lanes: 6)
            let workspaces = (0..<12).map { "w\($0)" }
            do {
                try await servers.start()
                let made = try await runProgram(
                    "/usr/bin/redis-cli",
                    ["--cluster", "create"] + ports.map { "127.0.0.1:\($0)@\(second[$0, default: 0])" } + [
                        "--cluster-replicas", "1", "--cluster-yes",
                    ])
                try #require(made.code == 0, "\(made.output)")
                try await eventually("the cluster serves") {
                    for port in ports {
                        guard try await Servers.cli(port, "CLUSTER", "INFO").contains("cluster_state:ok") else {
                            return false
                        }
                    }
                    // The replicas have what there is, so that they may follow.
                    for port in ports.prefix(3) {
                        guard try await Servers.cli(port, "INFO", "replication").contains("state=online") else {
                            return false
                        }
                    }
                    return true
                }
                try await site.start()
                for workspace in workspaces { #expect(try await site.completes(workspace), "\(workspace)") }
                // Keys of several lanes lie on several masters.
                var populated = 0
                for port in ports.prefix(3) {
                    let size = try await Servers.cli(port, "DBSIZE").trimmingCharacters(in: .whitespacesAndNewlines)
                    if size != "0" { populated += 1 }
                }
                #expect(populated == 3)
                let other = try await site.command(
                    ["submit", "queue.noop"], change: ["ORCHESTRA_QUEUE_LANES": "4"])
                #expect(other.code == 78 && other.errors.contains("ORCHESTRA_QUEUE_LANES is 4"), "\(other.errors)")
                await servers.processes[0].kill9()
                for workspace in workspaces {
                    try await eventually(within: .seconds(30), "jobs of \(workspace) come to their end again") {
                        try await site.completes(workspace)
                    }
                }
            } catch {
                await site.node.kill9()
                await servers.end()
                throw error
            }
            await site.node.signal(SIGTERM)
            #expect(try await site.node.wait().code == 0)
            await servers.end()
        }
    }
}
