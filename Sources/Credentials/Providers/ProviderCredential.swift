package import Domain

/// A credential of a workspace for a service outside, such as the key of a model provider. No sandbox sees it: the egress
/// server adds it to requests of the entries that name it.
package struct ProviderCredential: Hashable, Sendable {
    package let name: DefinitionName
    package let value: String
    /// The hosts that it may be sent to.
    package let hosts: [String]
    /// Milliseconds since the epoch.
    package let createdAt: UInt64
    /// When the value was replaced last; equal to `createdAt` for the first one.
    package let changedAt: UInt64

    /// The longest value in bytes.
    package static let limit = 16 * 1024

    /// Checks the value and the hosts; throws `CredentialsError` that says what was expected.
    package init(
        name: DefinitionName, value: String, hosts: [String], createdAt: UInt64, changedAt: UInt64
    ) throws(CredentialsError) {
        guard (1...Self.limit).contains(value.utf8.count), value.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw CredentialsError(
                code: .malformed,
                message: "the value of the credential '\(name)' is malformed: expected one line of 1 to \(Self.limit) "
                    + "printable ASCII characters without spaces")
        }
        guard !hosts.isEmpty, hosts.count <= 32, hosts.allSatisfy({ Self.isHost($0) }) else {
            throw CredentialsError(
                code: .malformed,
                message: "the credential '\(name)' needs 1 to 32 hosts that it may be sent to, in lower case")
        }
        self.name = name
        self.value = value
        self.hosts = hosts
        self.createdAt = createdAt
        self.changedAt = changedAt
    }

    private static func isHost(_ text: String) -> Bool {
        (1...253).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                default: ".-".utf8.contains(byte)
                }
            }
    }

    /// The document that is sealed.
    var bytes: [UInt8] {
        let value: JSONValue = [
            "value": .string(self.value), "hosts": .array(self.hosts.map { .string($0) }),
            "created_at": .integer(Int64(clamping: self.createdAt)),
            "changed_at": .integer(Int64(clamping: self.changedAt)),
        ]
        return value.bytes
    }

    /// Reads what `bytes` wrote; throws `CredentialsError` for anything else.
    init(name: DefinitionName, bytes: [UInt8]) throws(CredentialsError) {
        let document: JSONValue?
        do throws(DomainError) { document = try JSONParser.parse(bytes) } catch { document = nil }
        guard let document, let value = document["value"]?.string, let created = document["created_at"]?.integer,
            let changed = document["changed_at"]?.integer
        else { throw CredentialsError(code: .malformed, message: "the stored credential '\(name)' is malformed") }
        try self.init(
            name: name, value: value, hosts: (document["hosts"]?.array ?? []).compactMap(\.string),
            createdAt: UInt64(clamping: created), changedAt: UInt64(clamping: changed))
    }
}
