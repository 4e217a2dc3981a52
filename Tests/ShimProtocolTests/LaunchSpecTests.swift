import Domain
import ShimProtocol
import Testing

@Suite("LaunchSpec")
struct LaunchSpecTests {
    @Test("a launch file survives its encoding, and any cut of it is an error")
    func launchSpec() throws {
        var spec = LaunchSpec(
            mode: .command, executable: "/usr/bin/bwrap", arguments: [.text("--a"), .data([1, 2]), .statusDescriptor],
            command: [.text("/bin/true"), .text(""), .mappingDescriptor],
            userMap: LaunchSpec.UserMap(
                userMapper: "/usr/bin/newuidmap", groupMapper: "/usr/bin/newgidmap",
                users: [LaunchSpec.Mapping(inside: 0, outside: 7, count: 1)], groups: []), token: [9], input: [0],
            ownerPID: -1)
        spec.egress = LaunchSpec.Egress(socket: "/s", hello: [1, 2])
        #expect(try LaunchSpec(decoding: spec.encoded) == spec)
        for length in 0..<spec.encoded.count {
            #expect(throws: DomainError.self) { try LaunchSpec(decoding: Array(spec.encoded.prefix(length))) }
        }
        #expect(throws: DomainError.self) { try LaunchSpec(decoding: spec.encoded + [0]) }
    }

    @Test("secrets survive their encoding, and any cut of it is an error")
    func secrets() throws {
        let secrets = [LaunchSpec.Secret(name: "a", bytes: [1, 2]), LaunchSpec.Secret(name: "b", bytes: [])]
        let bytes = LaunchSpec.Secret.encoded(secrets)
        #expect(try LaunchSpec.Secret.list(decoding: bytes) == secrets)
        for length in 0..<bytes.count {
            #expect(throws: DomainError.self) { try LaunchSpec.Secret.list(decoding: Array(bytes.prefix(length))) }
        }
    }

    @Test("a launch that names secrets lacks them until they are there")
    func lacksSecrets() {
        var spec = LaunchSpec(mode: .terminal, executable: "/a", arguments: [.secret("k")], command: [])
        #expect(spec.lacksSecrets)
        spec.secrets = [LaunchSpec.Secret(name: "k", bytes: [1])]
        #expect(!spec.lacksSecrets)
    }

    @Test("a launch file of another version is refused, and names both versions")
    func version() {
        #expect(throws: DomainError.invalidValue("the launch file has version 200, expected 5")) {
            try LaunchSpec(decoding: [200])
        }
    }
}
