internal import Domain

/// Checks what the caller sends after the head: the body of one request, a ClientHello and what follows, or any bytes.
struct TunnelContent: Hashable, Sendable {
    private enum Kind: Hashable {
        case body(BodyReader)
        case hello(ClientHelloReader)
        case opaque
    }

    private var kind: Kind
    private let target: EgressTarget
    private let allowsMissingServerName: Bool
    /// The server name of the ClientHello.
    private(set) var serverName: String?

    init(_ head: RequestHead, _ entry: EgressEntry) {
        self.target = head.line.target
        self.allowsMissingServerName = entry.allowsMissingServerName
        if head.line.method != .connect {
            self.kind = .body(BodyReader(head.framing))
        } else {
            self.kind = entry.protocolKind == .tls ? .hello(ClientHelloReader()) : .opaque
        }
    }

    /// Whether bytes can be forwarded: in a TLS tunnel only after the ClientHello was accepted.
    var isChecked: Bool {
        if case .hello = self.kind { false } else { true }
    }

    /// Why the input must not end here; nil if it may.
    var problemAtEnd: EgressRefusal? {
        switch self.kind {
        case .body(let reader) where !reader.isComplete:
            EgressRefusal(.incompleteRequest, "the input ends before the body is complete")
        case .hello(let reader) where !reader.isEmpty:
            EgressRefusal(.malformedClientHello, "the input ends before the ClientHello is complete")
        default: nil
        }
    }

    /// Returns the bytes that belong to the request. What follows the body of a request is dropped: the connection has one
    /// request, and the caller sends the next one on a new connection.
    mutating func read(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) -> ArraySlice<UInt8> {
        switch self.kind {
        case .body(var reader):
            let used = try reader.read(bytes)
            self.kind = .body(reader)
            return bytes.prefix(used)
        case .hello(var reader):
            let hello = try reader.read(bytes)
            self.kind = .hello(reader)
            if let hello {
                try self.check(hello)
                self.kind = .opaque
            }
            return bytes
        case .opaque: return bytes
        }
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
