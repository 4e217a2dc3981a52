import CLinux
internal import Domain
import Foundation
import NIOPosix
import Redis
import Subprocess
import Supervision
import SystemPackage

/// A private redis-server for `orchestra dev`: on a Unix socket only, append-only file on, no eviction.
struct EmbeddedRedis: Sendable {
    let executable: String
    let directory: String
    /// The path of its Unix socket, short enough for one.
    let socket: String

    var url: String { "unix://\(self.socket)" }

    /// The supervised child; ready once it answers. A server that a killed `dev` left behind is shut down first (without
    /// a snapshot: the append-only file has everything), so that two servers never share the files.
    var child: ChildSpecification {
        ChildSpecification(
            id: "redis-server", shutdown: .timeout(.seconds(15)),
            backoff: RestartBackoff(first: .milliseconds(200), longest: .seconds(5), resetAfter: .seconds(60))
        ) { child in try await self.run(ready: { child.ready() }) }
    }

    private func run(ready: @escaping @Sendable () -> Void) async throws {
        try await self.stopStaleServer()
        var options = PlatformOptions()
        // A session of its own: ^C is for the node, which stops Redis last.
        options.createSession = true
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(10))]
        // Cancelled when the server has ended.
        async let _: Void = self.waitUntilReady(ready)
        let result = try await Subprocess.run(
            .path(FilePath(self.executable)), arguments: Arguments(self.arguments),
            environment: .custom(["PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"]),
            workingDirectory: FilePath(self.directory),
            platformOptions: options, output: .discarded, error: .discarded)
        try Task.checkCancellation()
        throw CommandError(
            .unavailable, "redis-server ended (\(result.terminationStatus)); its log is \(self.directory)/redis.log")
    }

    private var arguments: [String] {
        [
            "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700", "--dir", self.directory, "--save",
            "",
            "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--daemonize", "no",
            "--loglevel", "notice", "--logfile", "\(self.directory)/redis.log",
        ]
    }

    private var configuration: RedisConfiguration {
        RedisConfiguration(
            endpoint: .unix(path: self.socket), connectTimeout: .milliseconds(500), commandTimeout: .seconds(5))
    }

    private func waitUntilReady(_ ready: @Sendable () -> Void) async throws {
        while true {
            try Task.checkCancellation()
            do {
                try await RedisConnection.connect(to: self.configuration, group: .singleton).close()
                return ready()
            } catch is RedisError {
                // It does not answer yet; the supervisor bounds the wait.
            }
            try await ContinuousClock().sleep(for: .milliseconds(20))
        }
    }

    private func stopStaleServer() async throws {
        // Only a socket without a listener may be replaced: a server that is slow or still loading listens.
        let descriptor = unsafe orc_connect_unix(self.socket)
        guard descriptor >= 0 else {
            guard descriptor == -ENOENT || descriptor == -ECONNREFUSED else {
                throw CommandError(
                    .unavailable, "the socket \(self.socket) cannot be used: \(Host.reason(-descriptor))")
            }
            if descriptor == -ECONNREFUSED { try FileManager.default.removeItem(atPath: self.socket) }
            return
        }
        close(descriptor)
        let connection = try await RedisConnection.connect(to: self.configuration, group: .singleton)
        do {
            _ = try await connection.pipeline([RedisCommand("SHUTDOWN", "NOSAVE")], timeout: .seconds(10))
        } catch let error as RedisError where error.code == .connectionLost {
            // A server that shuts down closes the connection.
        }
        await connection.close()
        try await ContinuousClock().sleep(for: .milliseconds(100))
    }
}
