import Redis
import Testing

@testable import orchestra

@Suite("Exposure")
struct ExposureTests {
    private func context(_ environment: [String: String]) throws -> Context {
        Context(settings: try Settings(flags: [:], environment: environment, file: nil))
    }

    @Test("plain Redis over TCP exposes the jobs, a Unix socket and TLS do not")
    func plainRedis() throws {
        #expect(Exposure.plainRedis(try RedisConfiguration(url: "redis://h:1")) != nil)
        #expect(Exposure.plainRedis(try RedisConfiguration(url: "rediss://h:1")) == nil)
        #expect(Exposure.plainRedis(try RedisConfiguration(url: "unix:///s")) == nil)
    }

    @Test("a probe port beyond loopback is exposed", arguments: ["0.0.0.0", "::", "10.0.0.1", "example.com"])
    func publicProbe(host: String) { #expect(Exposure.publicProbe(host) != nil) }

    @Test("a probe port on loopback is not exposed", arguments: ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    func localProbe(host: String) { #expect(Exposure.publicProbe(host) == nil) }

    @Test("in production an exposed probe port is refused, and the message names the flag")
    func refusedProbe() throws {
        let context = try self.context(["ENV": "production", "ORCHESTRA_PROBE_HOST": "0.0.0.0"])
        let error = #expect(throws: CommandError.self) { try context.probe() }
        #expect(error?.status == .configuration && error?.message.contains("--set insecure.public-probe=yes") == true)
    }

    @Test("in production an exposed probe port is accepted with its insecure key")
    func acceptedProbe() throws {
        let context = try self.context([
            "ENV": "production", "ORCHESTRA_PROBE_HOST": "0.0.0.0", "ORCHESTRA_INSECURE_PUBLIC_PROBE": "yes",
        ])
        #expect(try context.probe().host == "0.0.0.0")
    }

    @Test("in production plain Redis is refused, and the message names the flag")
    func refusedRedis() throws {
        let context = try self.context(["ENV": "production", "REDIS_URL": "redis://127.0.0.1:1"])
        let error = #expect(throws: CommandError.self) { try context.redis() }
        #expect(error?.message.contains("--set insecure.plain-redis=yes") == true)
        #expect(error?.message.contains("expected rediss://") == true)
    }

    @Test("in production plain Redis is accepted with its insecure key")
    func acceptedRedis() throws {
        let context = try self.context([
            "ENV": "production", "REDIS_URL": "redis://h:1", "ORCHESTRA_INSECURE_PLAIN_REDIS": "yes",
        ])
        _ = try context.redis()
    }

    @Test("in development both are warnings")
    func warnings() throws {
        let context = try self.context(["REDIS_URL": "redis://10.0.0.1:1", "ORCHESTRA_PROBE_HOST": "0.0.0.0"])
        #expect(try context.exposures().map(\.key) == ["insecure.plain-redis", "insecure.public-probe"])
    }

    @Test("in development a plain Redis on this machine is no warning")
    func localRedis() throws { #expect(try self.context(["REDIS_URL": "redis://127.0.0.1:1"]).exposures().isEmpty) }
}
