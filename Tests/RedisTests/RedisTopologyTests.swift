import Testing
import TransportSecurity

@testable import Redis

@Suite("The Redis topology")
struct RedisTopologyTests {
    private typealias Endpoint = RedisConfiguration.Endpoint
    private static let asked = RedisConfiguration.Endpoint.tcp(host: "node", port: 7000)
    private static let slots =
        "*2\r\n*3\r\n:0\r\n:8191\r\n*3\r\n$2\r\nn1\r\n:7001\r\n$1\r\na\r\n"
        + "*4\r\n:8192\r\n:16383\r\n*3\r\n$0\r\n\r\n:7002\r\n$1\r\nb\r\n*3\r\n$2\r\nn3\r\n:7003\r\n$1\r\nc\r\n"

    @Test("the slot is the CRC of the hash tag", arguments: [("123456789", 12739), ("foo", 12182), ("", 0)])
    func slot(tag: String, slot: Int) { #expect(RedisSlot.of(tag) == slot) }

    @Test("a sentinel's answer is the address of the master")
    func sentinel() throws {
        let answer = try value("*2\r\n$8\r\n10.0.0.7\r\n$4\r\n6380\r\n")
        #expect(Endpoint(sentinelAnswer: answer) == .tcp(host: "10.0.0.7", port: 6380))
    }

    @Test(
        "a sentinel that does not know the master's name gives no address",
        arguments: ["*-1\r\n", "*0\r\n", "*1\r\n$1\r\na\r\n", "*2\r\n$1\r\na\r\n$1\r\nx\r\n", "+OK\r\n"])
    func unknownMaster(text: String) throws { #expect(Endpoint(sentinelAnswer: try value(text)) == nil) }

    @Test("the master of a slot is the first node of its range", arguments: [0, 8191])
    func firstRange(slot: Int) throws {
        let answer = try value(Self.slots)
        #expect(
            Endpoint(clusterSlots: answer, slot: slot, asked: Self.asked) == .tcp(host: "n1", port: 7001))
    }

    @Test("a node without an address is the one that was asked", arguments: [8192, 16383])
    func ownAddress(slot: Int) throws {
        let answer = try value(Self.slots)
        #expect(
            Endpoint(clusterSlots: answer, slot: slot, asked: Self.asked) == .tcp(host: "node", port: 7002))
    }

    @Test("a slot that no node serves has no master", arguments: ["*0\r\n", "*1\r\n*2\r\n:0\r\n:16383\r\n", ":1\r\n"])
    func noMaster(text: String) throws {
        #expect(Endpoint(clusterSlots: try value(text), slot: 5, asked: Self.asked) == nil)
    }

    @Test("the endpoints are tried in the order of the URL")
    func order() throws {
        let configuration = try RedisConfiguration(url: "redis+sentinel://a,b:1,[::1]:2/main")
        #expect(configuration.knownEndpoints.map(\.text) == ["a:26379", "b:1", "[::1]:2"])
    }

    @Test("the configuration for a found server keeps user, password and TLS, with the server's own name")
    func direct() throws {
        let configuration = try RedisConfiguration(url: "rediss+cluster://u:p@a:1,b:2")
        let direct = configuration.direct(to: .tcp(host: "b", port: 2))
        #expect(direct.topology == .single && direct.endpoint == .tcp(host: "b", port: 2))
        #expect(direct.username == "u" && direct.password == "p" && direct.tls?.serverName == "b")
    }

    @Test("only a cluster aims at the master of a hash tag")
    func serving() throws {
        let cluster = try RedisConfiguration(url: "redis+cluster://a").serving(hashTag: "l3")
        #expect(cluster.topology == .cluster(others: [], hashTag: "l3"))
        let single = try RedisConfiguration(url: "redis://a")
        #expect(single.serving(hashTag: "l3") == single)
    }
}
