internal import Domain

/// Checks what the caller sends after the head: the body of one request, a ClientHello and what follows, or any bytes.
struct TunnelContent: Hashable, Sendable {
    // Apart and not an enumeration, so that a reader changes in place and its buffer is not copied for each segment.
    private var body: BodyReader?
    private var hello: ClientHelloReader?
    private let target: EgressTarget
    private let allowsMissingServerName: Bool
    /// The server name of the ClientHello.
    private(set) var serverName: String?

    init(_ head: RequestHead, _ entry: EgressEntry) {
        self.target = head.line.target
        self.allowsMissingServerName = entry.allowsMissingServerName
        if head.line.method != .connect {
            self.body = BodyReader(head.framing)
        } else if entry.protocolKind == .tls {
            self.hello = ClientHelloReader()
        }
    }

    /// Whether bytes can be forwarded: in a TLS tunnel only after the ClientHello was accepted.
    var isChecked: Bool { self.hello == nil }

    /// Why the input must not end here; nil if it may.
    var problemAtEnd: EgressRefusal? {
        if let body = self.body, !body.isComplete {
            return EgressRefusal(.incompleteRequest, "the input ends before the body is complete")
        }
        if let hello = self.hello, !hello.isEmpty {
            return EgressRefusal(.malformedClientHello, "the input ends before the ClientHello is complete")
        }
        return nil
    }

    /// Returns the bytes that belong to the request. What follows the body of a request is dropped: the connection has one
    /// request, and the caller sends the next one on a new connection.
    mutating func read(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) -> ArraySlice<UInt8> {
        if let used = try self.body?.read(bytes) { return bytes.prefix(used) }
        if let hello = try self.hello?.read(bytes) {
            try self.check(hello)
            self.hello = nil
        }
        return bytes
    }

    private mutating func check(_ hello: ClientHello) throws(EgressRefusal) {
        self.serverName = hello.serverName
        if let name = hello.serverName {
            guard Self.isEqual(name, self.target.host) else {
                throw EgressRefusal(
                    .sniMismatch, "the TLS server name '\(Printable.text(name))' is not \(self.target.host)")
            }
        } else if case .name = self.target.host, !self.allowsMissingServerName {
            // A client must not send an address as its server name (RFC 6066), so a target that is an address needs none.
            throw EgressRefusal(.sniMissing, "the ClientHello has no server name")
        }
        guard !hello.hasEncryptedHello else {
            throw EgressRefusal(.encryptedClientHello, "the ClientHello has an encrypted part")
        }
    }

    private static func isEqual(_ name: String, _ host: EgressHost) -> Bool {
        do throws(EgressRefusal) {
            return try EgressHost(Array(name.utf8)[...]) == host
        } catch {
            return false
        }
    }
}
