import Domain
import Egress
import Testing

@Suite("Addresses")
struct AddressTests {
    @Test(
        "A1: a literal that is never reachable is refused, whatever the list has",
        arguments: [
            "127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "[::1]", "[::]", "169.254.169.254", "10.0.0.1",
            "192.168.1.1",
            "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]", "[ff02::1]", "255.255.255.255", "224.0.0.1", "192.0.2.7",
            "[2001:db8::7]", "198.51.100.3",
        ])
    func literals(_ host: String) throws {
        let played = try EgressFixture().play([EgressFixture.connect("\(host):443")])
        #expect(played.reason == .addressNotAllowed && played.machine.status == 403 && played.isSilent)
    }

    @Test("a listed literal is dialed without a question to the resolver; an unlisted one is not listed")
    func listedLiteral() throws {
        let allowed = try EgressFixture().play([EgressFixture.connect("203.0.113.9:443"), HelloBytes.hello(nil)])
        #expect(allowed.reason == nil && allowed.questions.isEmpty && allowed.dials == ["203.0.113.9:443"])
        let other = try EgressFixture().play([EgressFixture.connect("203.0.113.10:443")])
        #expect(other.reason == .hostNotAllowed)
    }

    @Test(
        "A4, A5, A9: an allowed name that resolves to such an address is refused and not dialed",
        arguments: [
            "169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254",
            "169.254.170.2", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.255",
            "fc00::1", "fdff::1", "127.0.0.1", "::1", "::", "0.0.0.0", "fe80::1", "fec0::1", "ff02::1", "239.1.1.1",
            "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.88.99.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
            "::127.0.0.1", "::203.0.113.5", "2002:7f00:1::", "2002:0a00:0001::1", "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001:0:1::1", "::ffff:0:127.0.0.1",
            "2001:db8::5efe:10.0.0.1", "2001:db8::200:5efe:10.0.0.1", "4000::1", "100::1", "192.0.2.7", "2001:db8::7",
            "198.51.100.1",
        ])
    func resolvedAddresses(_ address: String) throws {
        #expect(EgressAddress(address) != nil)
        for answer in [[address], ["203.0.113.5", address], [address, "203.0.113.5"]] {
            let played = try EgressFixture().play([EgressFixture.connect("api.example.test:443")], answers: [answer])
            #expect(played.reason == .addressNotAllowed && played.machine.status == 403, "A6: \(answer)")
            #expect(played.dials.isEmpty && played.questions == ["api.example.test"])
            #expect(played.events.last?.entry?.text == "api")
        }
    }

    @Test(
        "a public address is dialed",
        arguments: [
            ("203.0.113.5", "203.0.113.5:443"), ("2606:4700::1111", "[2606:4700::1111]:443"),
            ("172.32.0.1", "172.32.0.1:443"), ("100.128.0.1", "100.128.0.1:443"),
            ("9.255.255.255", "9.255.255.255:443"),
            ("::ffff:203.0.113.5", "203.0.113.5:443"), ("64:ff9b::203.0.113.5", "[64:ff9b::cb00:7105]:443"),
        ])
    func publicAddresses(_ address: String, _ dialed: String) throws {
        let played = try EgressFixture().play([EgressFixture.connect("api.example.test:443")], answers: [[address]])
        #expect(played.reason == nil && played.dials == [dialed])
    }

    @Test("A5: 'allow_private' opens its ranges for an exact name only, and never loopback or this host")
    func allowPrivate() throws {
        func reason(_ name: String, _ answer: [String]) throws -> EgressReason? {
            try EgressFixture().play([EgressFixture.connect("\(name):443")], answers: [answer]).reason
        }
        #expect(try reason("inner.example.test", ["10.2.3.4"]) == nil)
        #expect(try reason("inner.example.test", ["10.2.3.4", "203.0.113.5"]) == nil)
        #expect(try reason("inner.example.test", ["192.168.0.1"]) == .addressNotAllowed)
        #expect(try reason("inner.example.test", ["127.0.0.1"]) == .addressNotAllowed)
        #expect(try reason("inner.example.test", ["64:ff9b::10.2.3.4"]) == .addressNotAllowed)
        #expect(try reason("a.wide.example.test", ["10.2.3.4"]) == .addressNotAllowed)
        #expect(try reason("a.wide.example.test", ["203.0.113.5"]) == nil)
    }

    @Test("A7: the checked address is dialed, and the resolver is asked once")
    func rebinding() throws {
        let played = try EgressFixture().play(
            [EgressFixture.connect("api.example.test:443"), HelloBytes.hello("api.example.test")],
            answers: [["203.0.113.5"], ["127.0.0.1"]])
        #expect(played.questions == ["api.example.test"] && played.dials == ["203.0.113.5:443"])
    }

    @Test("A11: an answer without addresses, an error and a timeout are refused with 502 and 504")
    func failures() throws {
        let fixture = try EgressFixture()
        func reason(_ resolution: EgressResolution) -> (EgressReason?, Int?) {
            var connection = PlayedConnection(machine: TunnelMachine(fixture.configuration), answers: [])
            _ = connection.machine.received(EgressFixture.connect("api.example.test:443"))
            connection.perform(connection.machine.resolved(resolution))
            return (connection.reason, connection.machine.status)
        }
        #expect(reason(.failed) == (.resolutionFailed, 502))
        #expect(reason(.addresses([])) == (.resolutionFailed, 502))
        #expect(reason(.timedOut) == (.resolutionTimeout, 504))
    }

    @Test("A11: of 200 addresses 16 are tried, in order, but all are checked")
    func manyAddresses() throws {
        let fixture = try EgressFixture()
        let addresses = (0..<200).map { EgressAddress(version4Bits: UInt32(0xcb00_7100) + UInt32($0)) }
        var machine = TunnelMachine(fixture.configuration)
        _ = machine.received(EgressFixture.connect("api.example.test:443"))
        var actions = machine.resolved(.addresses(addresses))
        var dials = 0
        while case .dial(let address, port: 443) = actions.first {
            #expect(address == addresses[dials])
            dials += 1
            actions = machine.dialed(.failed)
        }
        #expect(dials == 16 && machine.status == 502)
        let loopback = try #require(EgressAddress("127.0.0.1"))
        machine = TunnelMachine(fixture.configuration)
        _ = machine.received(EgressFixture.connect("api.example.test:443"))
        _ = machine.resolved(.addresses(addresses + [loopback]))
        #expect(machine.isClosed && machine.status == 403)
    }

    @Test(
        "a request for one of the sandbox's own listeners gets 421 and a hint",
        arguments: ["127.0.0.1", "localhost", "[::1]"])
    func ownListener(_ host: String) throws {
        let played = try EgressFixture().play([EgressFixture.connect("\(host):8118")])
        #expect(played.reason == .ownListener && played.machine.status == 421 && played.isSilent)
        #expect(played.answeredText.contains("NO_PROXY"))
    }

    @Test(
        "an address has one canonical text",
        arguments: [
            ("::", "::"), ("0:0:0:0:0:0:0:1", "::1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0"), ("1::", "1::"), ("::ffff:1.2.3.4", "1.2.3.4"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("fe80::1:0:0:0", "fe80::1:0:0:0"), ("::1.2.3.4", "::102:304"),
        ])
    func canonical(_ text: String, _ expected: String) {
        #expect(EgressAddress(text)?.description == expected)
    }

    @Test(
        "a malformed address is not an address",
        arguments: [
            "", ":", ":::", "1", "1:2", "1:2:3:4:5:6:7:8:9", "::1::", "1:2:3:4:5:6:7::8", "12345::", "g::", "+1::",
            "::-1",
            "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.", ".1.2.3", "1.2.3.4:", "::1.2.3", "1.2.3.4::", "::1%lo", " ::1",
            "::1 ", "1:2:3:4:5:6:7:1.2.3.4", "１.2.3.4",
        ])
    func malformed(_ text: String) { #expect(EgressAddress(text) == nil) }

    @Test(
        "a range needs a prefix length that leaves no bits of its address",
        arguments: [
            ("10.0.0.0/8", true), ("10.0.0.1/8", false), ("10.0.0.0/33", false), ("0.0.0.0/0", true), ("::/0", true),
            ("fc00::/7", true), ("fc00::/129", false), ("10.0.0.0/", false), ("10.0.0.0/+8", false),
            ("10.0.0.0/08", false),
            ("1.2.3.4", true), ("10.0.0.0/8/8", false), ("x/8", false), ("", false),
        ])
    func ranges(_ text: String, _ isValid: Bool) { #expect((AddressRange(text) != nil) == isValid) }
}
