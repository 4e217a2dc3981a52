import NIOCore
import Testing

@testable import API

@Suite("AddressRange")
struct AddressRangeTests {
    @Test(
        "an address is in a range when it shares the range's bits",
        arguments: [
            ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.0.0.0/9", "10.128.0.1", false),
            ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.8", false), ("0.0.0.0/0", "203.0.113.9", true),
            ("2001:db8::/33", "2001:db8:8000::1", false), ("2001:db8::/32", "2001:db8:8000::1", true),
            ("::1", "::1", true),
        ])
    func contains(range: String, address: String, isIn: Bool) throws {
        #expect(try #require(AddressRange(range)).contains(try #require(IPAddress(address))) == isIn)
    }

    @Test("a range of one version contains no address of the other")
    func versions() throws {
        #expect(try #require(AddressRange("::/0")).contains(try #require(IPAddress("10.0.0.1"))) == false)
        #expect(try #require(AddressRange("0.0.0.0/0")).contains(try #require(IPAddress("2001:db8::1"))) == false)
    }

    @Test("a mapped address is in the range of the address that it maps")
    func mapped() throws {
        #expect(try #require(AddressRange("10.0.0.0/8")).contains(try #require(IPAddress("::ffff:10.1.2.3"))))
    }

    @Test(
        "a text that is not a range is refused",
        arguments: [
            "", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "::/129", "a", "10.0.0.0/8/8", "10.0.0.0/+8",
            "10.0.0.0/٨",
        ])
    func malformed(text: String) { #expect(AddressRange(text) == nil) }
}

@Suite("IPAddress")
struct IPAddressTests {
    @Test("an IPv4 address is one client, an IPv6 address is the client of its first 64 bits")
    func networks() throws {
        #expect(IPAddress("192.0.2.7")?.network == "192.0.2.7")
        #expect(IPAddress("2001:db8::1")?.network == IPAddress("2001:db8::ffff:1")?.network)
        #expect(IPAddress("2001:db8::1")?.network != IPAddress("2001:db8:0:1::1")?.network)
    }

    @Test("an address is written as it is usually written", arguments: ["192.0.2.7", "2001:db8::1", "::1"])
    func descriptions(text: String) { #expect(IPAddress(text)?.description == text) }

    @Test("a mapped address is written as the address that it maps")
    func mappedDescription() { #expect(IPAddress("::ffff:192.0.2.7")?.description == "192.0.2.7") }

    @Test("the zone of a link-local peer does not count, and a Unix socket has no address")
    func sockets() throws {
        #expect(IPAddress(try SocketAddress(ipAddress: "192.0.2.7", port: 80))?.description == "192.0.2.7")
        #expect(IPAddress(try SocketAddress(unixDomainSocketPath: "/tmp/x")) == nil)
        #expect(IPAddress(nil as SocketAddress?) == nil)
    }
}
