/// What decides about a tunnel in a ClientHello (RFC 8446, section 4.1.2).
struct ClientHello: Hashable, Sendable {
    /// The only name in the extension `server_name`; nil if there is no such extension.
    let serverName: String?
    /// Whether the real server name may be encrypted (RFC 9849, its drafts and ESNI). A decoy extension is not
    /// distinguishable from a real one, by design.
    let hasEncryptedHello: Bool

    /// Nil unless the bytes are the whole body of one well-formed ClientHello: every length fits, no extension occurs twice,
    /// and the server name list has exactly one host name.
    init?(_ body: ArraySlice<UInt8>) {
        var cursor = TLSCursor(body)
        guard let version = cursor.integer(2), version >> 8 == 3, cursor.bytes(32) != nil,
            let session = cursor.vector(1), session.count <= 32,
            let suites = cursor.vector(2), suites.count >= 2, suites.count.isMultiple(of: 2),
            let compression = cursor.vector(1), !compression.isEmpty
        else { return nil }
        var serverName: String?
        var types: Set<Int> = []
        if !cursor.rest.isEmpty {
            guard let extensions = cursor.vector(2), cursor.rest.isEmpty else { return nil }
            var list = TLSCursor(extensions)
            while !list.rest.isEmpty {
                guard let type = list.integer(2), let data = list.vector(2), types.insert(type).inserted else {
                    return nil
                }
                guard type == 0 else { continue }
                guard let name = Self.name(data) else { return nil }
                serverName = name
            }
        }
        self.serverName = serverName
        self.hasEncryptedHello = !types.isDisjoint(with: Self.encryptedTypes)
    }

    private static let encryptedTypes: Set<Int> = [0xfe08, 0xfe09, 0xfe0a, 0xfe0b, 0xfe0c, 0xfe0d, 0xffce]

    /// RFC 6066, section 3. More than one name would be ambiguous.
    private static func name(_ data: ArraySlice<UInt8>) -> String? {
        var cursor = TLSCursor(data)
        guard let listed = cursor.vector(2), cursor.rest.isEmpty else { return nil }
        var list = TLSCursor(listed)
        guard list.integer(1) == 0, let name = list.vector(2), !name.isEmpty, name.count <= 255, list.rest.isEmpty,
            name.allSatisfy({ (0x21...0x7e).contains($0) })
        else { return nil }
        return String(decoding: name, as: UTF8.self)
    }
}
