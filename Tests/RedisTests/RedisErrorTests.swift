import Domain
import Testing

@testable import Redis

@Suite("The Redis error")
struct RedisErrorTests {
    @Test("the kind of an error reply is its first word")
    func kind() {
        #expect(RedisError.server("NOGROUP No such key 'k'").code == .server(kind: "NOGROUP"))
        #expect(RedisError.server("ERR").code == .server(kind: "ERR"))
        #expect(RedisError.server("OOM x").message == "Redis answered: OOM x")
    }

    @Test(
        "a server that cannot answer now is an outage",
        arguments: ["LOADING", "BUSY", "READONLY", "CLUSTERDOWN", "MISCONF", "MASTERDOWN", "TRYAGAIN", "MOVED"])
    func outage(kind: String) { #expect(RedisError.server("\(kind) x").isOutage) }

    @Test(
        "an error of the command itself is not an outage", arguments: ["ERR", "WRONGTYPE", "NOPERM", "OOM", "NOAUTH"])
    func noOutage(kind: String) { #expect(!RedisError.server("\(kind) x").isOutage) }

    @Test("a lost connection is an outage; a wrong configuration and a cancellation are not")
    func codes() {
        func isOutage(_ code: RedisErrorCode) -> Bool { RedisError(code: code, message: "").isOutage }
        #expect(isOutage(.unreachable) && isOutage(.connectionLost) && isOutage(.timeout) && isOutage(.unexpectedReply))
        #expect(!isOutage(.configuration) && !isOutage(.refused) && !isOutage(.cancelled))
    }

    @Test("only replies of a server that was replaced are misdirected")
    func misdirected() {
        for kind in ["READONLY", "MOVED", "MASTERDOWN", "UNBLOCKED"] {
            #expect(RedisError.server("\(kind) x").isMisdirected)
        }
        #expect(!RedisError.server("LOADING x").isMisdirected)
        #expect(!RedisError(code: .timeout, message: "READONLY").isMisdirected)
    }

    @Test("a missing function is recognized, and only in an error reply")
    func functionMissing() {
        #expect(RedisError.server("ERR Function not found").isFunctionMissing)
        #expect(!RedisError.server("ERR no").isFunctionMissing)
        #expect(!RedisError(code: .timeout, message: "Function not found").isFunctionMissing)
    }
}
