import Domain
import Foundation
import NIOPosix
import Redis
import TestSupport
import Testing
import TransportSecurity

/// Certificates made by the openssl command line, and a redis-server that serves TLS with them.
private struct TLSRedis {
    let directory: String
    let port: Int
    let pin: [UInt8]

    func configuration(_ change: (inout RedisConfiguration) -> Void = { _ in }) throws -> RedisConfiguration {
        var configuration = try RedisConfiguration(url: "rediss://127.0.0.1:\(self.port)")
        configuration.tls?.authorityFile = self.directory + "/ca.pem"
        configuration.connectTimeout = .seconds(3)
        change(&configuration)
        return configuration
    }
}

private func openssl(_ directory: String, _ line: String) async throws {
    let result = try await runProgram(
        "/bin/sh", ["-c", "cd \(directory) && openssl \(line)"],
        environment: ["HOME": directory, "RANDFILE": directory + "/.rnd"])
    guard result.code == 0 else { throw TestFailure("openssl \(line): \(result.errors)") }
}

private func freePort() throws -> Int {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = unsafe inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
            unsafe bind(listener, pointer, length) == 0 && getsockname(listener, pointer, &length) == 0
        }
    }
    guard isBound else { throw TestFailure("no free port") }
    return Int(UInt16(bigEndian: address.sin_port))
}

private func withTLSRedis(
    name: String = "subjectAltName=IP:127.0.0.1,DNS:localhost", options: [String] = [],
    _ body: (TLSRedis) async throws -> Void
) async throws {
    try await withDirectory { directory in
        try await openssl(
            directory,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2"
        )
        for who in ["server", "client"] {
            try await openssl(
                directory,
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout \(who).key -out \(who).csr -subj /CN=\(who)"
            )
            try name.write(toFile: directory + "/extensions", atomically: true, encoding: .utf8)
            try await openssl(
                directory,
                "x509 -req -in \(who).csr -CA ca.pem -CAkey ca.key -CAcreateserial -out \(who).pem -days 2 -extfile extensions"
            )
        }
        let digest = try await runProgram(
            "/bin/sh",
            [
                "-c",
                "cd \(directory) && openssl x509 -in server.pem -pubkey -noout | openssl pkey -pubin -outform der | sha256sum",
            ])
        let hex = Array(digest.output.prefix(64))
        let pin = stride(from: 0, to: 64, by: 2).compactMap { UInt8(String(hex[$0...$0 + 1]), radix: 16) }
        let port = try freePort()
        let tls = [
            "--tls-port", "\(port)", "--tls-cert-file", directory + "/server.pem", "--tls-key-file",
            directory + "/server.key",
            "--tls-ca-cert-file", directory + "/ca.pem", "--tls-auth-clients", "no",
        ]
        try await withRedis(in: directory, options: tls + options) { _ in
            try await body(TLSRedis(directory: directory, port: port, pin: pin))
        }
    }
}

@Suite(
    "Redis over TLS",
    .enabled(if: isInstalled("redis-server") && isInstalled("openssl"), "needs redis-server and the openssl command"))
struct RedisTLSTests {
    private func connect(_ configuration: RedisConfiguration) async throws {
        let connection = try await RedisConnection.connect(to: configuration, group: .singleton)
        let value = [UInt8](repeating: 65, count: 200_000)
        var echo = RedisCommand("ECHO")
        echo.append(value)
        let replies = try await connection.pipeline([echo, RedisCommand("PING")], timeout: .seconds(5))
        await connection.close()
        #expect(Array(replies[0].root.bytes) == value)
        #expect(replies[1].root.string == "PONG")
    }

    @Test("a trusted certificate for the address, with the right pin, is accepted and carries large values")
    func trusted() async throws {
        try await withTLSRedis { redis in
            try await self.connect(try redis.configuration())
            try await self.connect(try redis.configuration { $0.tls?.pins = [redis.pin] })
            try await self.connect(try redis.configuration { $0.tls?.serverName = "localhost" })
        }
    }

    @Test("an unknown authority, a wrong name, a wrong address and a wrong pin are refused with the reason")
    func untrusted() async throws {
        try await withTLSRedis { redis in
            let wrong: [(String, RedisConfiguration)] = [
                ("certificate", try redis.configuration { $0.tls?.authorityFile = nil }),
                ("other.example", try redis.configuration { $0.tls?.serverName = "other.example" }),
                ("127.0.0.2", try redis.configuration { $0.tls?.serverName = "127.0.0.2" }),
                ("pinned", try redis.configuration { $0.tls?.pins = [[UInt8](repeating: 1, count: 32)] }),
            ]
            for (word, configuration) in wrong {
                let error = await #expect(throws: RedisError.self) { try await self.connect(configuration) }
                #expect(error?.code == .refused, "\(word)")
                #expect(error?.description.contains(word) == true, "\(error?.message ?? "")")
            }
        }
    }

    @Test("a server that asks for a client certificate gets it, and refuses who has none")
    func clientCertificate() async throws {
        try await withTLSRedis(options: ["--tls-auth-clients", "yes"]) { redis in
            try await self.connect(
                try redis.configuration {
                    $0.tls?.certificateFile = redis.directory + "/client.pem"
                    $0.tls?.privateKeyFile = redis.directory + "/client.key"
                })
            await #expect(throws: RedisError.self) { try await self.connect(try redis.configuration()) }
        }
    }

    @Test("a server that offers only TLS 1.2 is refused unless 1.2 is allowed")
    func oldVersion() async throws {
        try await withTLSRedis(options: ["--tls-protocols", "TLSv1.2"]) { redis in
            await #expect(throws: RedisError.self) { try await self.connect(try redis.configuration()) }
            try await self.connect(try redis.configuration { $0.tls?.minimumVersion = .tls12 })
        }
    }

    @Test("a plain-text server, and files that cannot be used, are refused in one sentence")
    func misconfigured() async throws {
        try await withTLSRedis { redis in
            let cases: [(RedisErrorCode, RedisConfiguration)] = [
                (.configuration, try redis.configuration { $0.tls?.authorityFile = "/nonexistent.pem" }),
                (.configuration, try redis.configuration { $0.tls?.certificateFile = redis.directory + "/client.pem" }),
                (
                    .configuration,
                    try redis.configuration {
                        $0.tls?.certificateFile = redis.directory + "/client.pem"
                        $0.tls?.privateKeyFile = redis.directory + "/server.key"
                    }
                ),
            ]
            for (code, configuration) in cases {
                let error = await #expect(throws: RedisError.self) { try await self.connect(configuration) }
                #expect(error?.code == code)
            }
        }
        try await withDirectory { directory in
            let port = try freePort()
            try await withRedis(in: directory, options: ["--port", "\(port)"]) { _ in
                var plain = try RedisConfiguration(url: "rediss://127.0.0.1:\(port)")
                plain.connectTimeout = .seconds(1)
                let configuration = plain
                await #expect(throws: RedisError.self) { try await self.connect(configuration) }
            }
        }
    }
}
