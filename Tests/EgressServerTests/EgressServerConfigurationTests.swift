import Domain
import Egress
import Testing

@testable import EgressServer

@Suite("The configuration of the egress server")
struct EgressServerConfigurationTests {
    private static func configuration() throws -> EgressServerConfiguration {
        EgressServerConfiguration(
            socket: "/run/egress.sock", generation: 3,
            entries: [try DefinitionName("web"): [["id": "a", "host": "a.example.test"]]],
            overrides: try EgressServerConfiguration.overrides(
                "a.example.test=127.0.0.1:80,b.example.test=[::1]:443,c.example.test=10.0.0.1"),
            authorityFile: "/ca.pem")
    }

    @Test("it is read back as it was written")
    func roundTrip() throws {
        let (mine, read) = (
            try Self.configuration(), try EgressServerConfiguration(decoding: try Self.configuration().encoded)
        )
        #expect(read.socket == mine.socket && read.generation == 3 && read.authorityFile == "/ca.pem")
        #expect(read.entries == mine.entries && read.overrides == mine.overrides && mine.overrides.count == 3)
    }

    @Test(
        "a malformed one is refused",
        arguments: [
            "", "{", "[]", #"{"socket":"/s"}"#, #"{"socket":"/s","generation":1,"profiles":{"a b":[]}}"#,
            #"{"socket":"/s","generation":1,"profiles":{"a":1}}"#,
            #"{"socket":"/s","generation":1,"profiles":{}}"#,
            #"{"socket":"/s","generation":1,"profiles":{},"overrides":[]}"#,
            #"{"socket":"/s","generation":1,"profiles":{},"overrides":{},"authority_file":1}"#,
            #"{"socket":"/s","generation":1,"profiles":{},"overrides":{"a.test":{"address":"10.0.0.1","port":70000}}}"#,
            #"{"socket":"/s","generation":1,"profiles":{},"overrides":{"a.test":{"address":"x"}}}"#,
        ])
    func malformed(_ text: String) {
        #expect(throws: EgressServerError.self) { try EgressServerConfiguration(decoding: Array(text.utf8)) }
    }

    @Test(
        "an override that cannot be used is named",
        arguments: ["a", "a=", "a=b", "a=1.2.3.4:x", "=1.2.3.4", "a b=1.2.3.4"])
    func overrides(_ text: String) {
        let error = #expect(throws: EgressServerError.self) { try EgressServerConfiguration.overrides(text) }
        #expect(error?.message.contains("NAME=ADDRESS:PORT") == true)
    }

    @Test("a name that is replaced has an address of documentation, and its dials go where it says")
    func targets() throws {
        let overrides = UpstreamOverrides(try Self.configuration().overrides)
        let name = try HostName(Array("c.example.test".utf8)[...])
        let address = try #require(overrides.address(of: name))
        #expect(address.description.hasPrefix("203.0.113."))
        let target = overrides.target(for: address, port: 8443)
        #expect(target.address.description == "10.0.0.1" && target.port == 8443)
        let other = try #require(EgressAddress("192.0.2.1"))
        #expect(overrides.target(for: other, port: 1) == (other, 1))
        #expect(overrides.address(of: try HostName(Array("d.example.test".utf8)[...])) == nil)
    }
}
