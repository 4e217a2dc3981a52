import Domain
import Redis
import Testing
import TransportSecurity

@Suite("The Redis URL")
struct RedisConfigurationTests {
    @Test("all three schemes are read with user, password and database")
    func schemes() throws {
        let tcp = try RedisConfiguration(url: "redis://us%40er:p%3Aw@example.org:6380/3")
        #expect(tcp.endpoint == .tcp(host: "example.org", port: 6380))
        #expect(tcp.username == "us@er" && tcp.password == "p:w" && tcp.database == 3 && tcp.tls == nil)
        let tls = try RedisConfiguration(url: "rediss://[::1]")
        #expect(tls.endpoint == .tcp(host: "::1", port: 6379))
        #expect(tls.tls?.serverName == "::1" && tls.tls?.minimumVersion == .tls13)
        let unix = try RedisConfiguration(url: "unix:///run/redis.sock?db=2")
        #expect(unix.endpoint == .unix(path: "/run/redis.sock") && unix.database == 2)
        #expect(try RedisConfiguration(url: "redis://:secret@h").password == "secret")
    }

    @Test(
        "what cannot be used is refused with what was expected, and no password in the message",
        arguments: [
            "", "localhost", "http://h", "redis://", "redis://h:0", "redis://h:65536", "redis://h:x", "redis://h/x",
            "redis://h/2000", "redis://:top%zzsecret@h", "redis://[::1", "unix://relative", "unix:///a?x=1",
            "redis://u:topsecret@h:port",
        ])
    func refusals(url: String) {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: url) }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("expected") == true)
        #expect(error?.message.contains("secret") == false)
    }

    @Test("the display name shows no credentials")
    func displayName() throws {
        #expect(try RedisConfiguration(url: "redis://u:secret@h/1").displayName == "redis://h:6379/1")
    }
}
