import Domain
import Egress

/// The rules of the notes' test list, and one connection under them with a counting resolver and dialer.
struct EgressFixture {
    static let entries: [JSONValue] = [
        ["id": "api", "host": "api.example.test", "ports": [443], "door": "tunnel"],
        ["id": "pkg", "host": "*.pkg.example.test", "ports": [443], "door": "tunnel"],
        ["id": "plain", "host": "plain.example.test", "ports": [80], "door": "http", "methods": ["GET", "HEAD"]],
        ["id": "evil", "host": "evil.pkg.example.test", "deny": true],
        ["id": "upload", "host": "upload.example.test", "door": "http", "methods": ["POST"], "paths": ["/v1/*"]],
        [
            "id": "inner", "host": "inner.example.test", "door": "tunnel",
            "allow_private": ["10.0.0.0/8", "127.0.0.0/8"],
        ],
        ["id": "wide", "host": "*.wide.example.test", "door": "tunnel", "allow_private": ["10.0.0.0/8"]],
        ["id": "raw", "host": "raw.example.test", "ports": [22], "door": "tunnel", "protocol": "tcp"],
        ["id": "quiet", "host": "quiet.example.test", "door": "tunnel", "allow_no_sni": true],
        ["id": "literal", "host": "203.0.113.9", "door": "tunnel"],
        ["id": "loop", "host": "127.0.0.1", "door": "tunnel", "allow_private": ["127.0.0.0/8"]],
        ["id": "ask", "host": "ask.example.test", "door": "tunnel", "approval": true],
    ]

    let configuration: TunnelConfiguration

    init(entries: [JSONValue] = Self.entries) throws {
        self.configuration = TunnelConfiguration(
            rules: try EgressRules(parsing: entries),
            addresses: AddressRules(
                own: Set(["192.0.2.7", "2001:db8::7"].compactMap { EgressAddress($0) }),
                denied: ["198.51.100.0/24"].compactMap { AddressRange($0) }),
            listenerPorts: [8118])
    }

    /// Sends the segments, then ends the input. The resolver gives each answer of `answers` once, the last one again.
    func play(_ segments: [[UInt8]], answers: [[String]] = [["203.0.113.5"]]) -> PlayedConnection {
        var connection = PlayedConnection(
            machine: TunnelMachine(self.configuration), answers: answers.map { $0.compactMap { EgressAddress($0) } })
        for segment in segments { connection.perform(connection.machine.received(segment)) }
        connection.perform(connection.machine.receivedEndOfInput())
        return connection
    }

    /// A CONNECT with a Host header, as clients send it.
    static func connect(_ authority: String, _ extra: String = "") -> [UInt8] {
        Array("CONNECT \(authority) HTTP/1.1\r\nHost: \(authority)\r\n\(extra)\r\n".utf8)
    }
}
