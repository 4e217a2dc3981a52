package import Domain

extension EgressEntry {
    /// Reads an entry. `place` names the file and the position, for messages. Throws `EgressError.invalidEntry` for an
    /// unknown field, a malformed value, or a field that has no meaning for the kind of the entry.
    package init(_ value: JSONValue, place: String, suffixes: PublicSuffixes = PublicSuffixes()) throws(EgressError) {
        var named = try EgressEntryReader(value, place: place)
        guard let text = try named.string("id") else { throw named.fail("'id' is missing: expected a string") }
        guard let id = EgressEntryID(text) else {
            throw named.fail(
                "'id' is '\(Printable.text(text))': expected 1 to 64 ASCII letters, digits and . _ - : /")
        }
        var reader = try EgressEntryReader(value, place: "\(place), entry '\(id)'")
        _ = try reader.string("id")
        _ = try reader.string("note")
        let isDenied = try reader.boolean("deny")
        let listener = try reader.choice("door", EgressListenerKind.self) ?? (isDenied ? nil : .tunnel)
        self.id = id
        self.isDenied = isDenied
        self.listener = listener
        self.host = try Self.host(&reader, suffixes)
        self.ports = try Self.ports(&reader) ?? (isDenied ? nil : listener == .http ? [80] : [443])
        self.methods = try Self.methods(&reader, listener)
        self.paths = try Self.paths(&reader, listener)
        self.credential = try Self.credential(&reader, listener, isDenied)
        self.limits = try Self.limits(&reader)
        self.allowPrivate = try Self.ranges(&reader)
        self.needsApproval = try reader.boolean("approval")
        self.protocolKind = try Self.protocolKind(&reader, listener)
        self.allowsMissingServerName = try reader.boolean("allow_no_sni")
        self.model = try ModelAccess(&reader, listener, isDenied: isDenied)
        if listener == .model, !isDenied, !self.host.isExact {
            throw reader.fail("'host' must be exact for a model: requests name the provider and not a host")
        }
        if listener == .model, !isDenied, self.ports?.count != 1 {
            throw reader.fail("'ports' must have one port for a model")
        }
        if self.allowsMissingServerName, self.protocolKind != .tls {
            throw reader.fail("'allow_no_sni' is only for a tunnel with TLS")
        }
        try reader.finish()
    }

    private static func host(
        _ reader: inout EgressEntryReader, _ suffixes: PublicSuffixes
    ) throws(EgressError) -> HostPattern {
        guard let text = try reader.string("host") else {
            throw reader.fail("'host' is missing: expected a name, an address, or a name after '*.'")
        }
        do throws(EgressRefusal) {
            return try HostPattern(text, suffixes: suffixes)
        } catch {
            throw reader.fail("'host' is '\(Printable.text(text))': \(error.detail)")
        }
    }

    private static func ports(_ reader: inout EgressEntryReader) throws(EgressError) -> Set<UInt16>? {
        let ports = try reader.elements("ports", of: "integers from 1 to 65535") { value -> UInt16? in
            value.integer.flatMap { UInt16(exactly: $0) }.flatMap { $0 == 0 ? nil : $0 }
        }
        return ports.map(Set.init)
    }

    private static func methods(
        _ reader: inout EgressEntryReader, _ listener: EgressListenerKind?
    ) throws(EgressError) -> Set<EgressMethod>? {
        let isTunnel = listener == .tunnel
        let expected = isTunnel ? "CONNECT alone, because a tunnel is opaque" : "methods such as GET, in upper case"
        let methods = try reader.elements("methods", of: expected) { value -> EgressMethod? in
            value.string.flatMap(EgressMethod.init).flatMap { ($0 == .connect) == isTunnel ? $0 : nil }
        }
        return methods.map(Set.init)
    }

    private static func paths(
        _ reader: inout EgressEntryReader, _ listener: EgressListenerKind?
    ) throws(EgressError) -> [PathPattern]? {
        let expected = "normalized paths that start with a slash, with * within a segment and ** across segments"
        let paths = try reader.elements("paths", of: expected) { $0.string.flatMap(PathPattern.init) }
        guard paths == nil || listener != .tunnel else {
            throw reader.fail("'paths' is not possible for a tunnel, which is opaque")
        }
        return paths
    }

    private static func credential(
        _ reader: inout EgressEntryReader, _ listener: EgressListenerKind?, _ isDenied: Bool
    ) throws(EgressError) -> DefinitionName? {
        guard let text = try reader.string("credential") else { return nil }
        guard !isDenied, listener != .tunnel else {
            throw reader.fail("'credential' is not possible here: nothing can be added to this traffic")
        }
        do throws(DomainError) {
            return try DefinitionName(text)
        } catch {
            throw reader.fail("'credential': \(error.message)")
        }
    }

    private static func limits(_ reader: inout EgressEntryReader) throws(EgressError) -> EgressLimits {
        guard var fields = try reader.object("limits") else { return EgressLimits() }
        let limits = EgressLimits(
            connections: try fields.integer("connections"),
            requestsPerMinute: try fields.integer("requests_per_minute"),
            bytesPerDay: try fields.integer("bytes_per_day"),
            idle: try fields.integer("idle_seconds").map { .seconds($0) })
        try fields.finish()
        return limits
    }

    private static func ranges(_ reader: inout EgressEntryReader) throws(EgressError) -> [AddressRange] {
        var ranges: [AddressRange] = []
        for value in try reader.list("allow_private", of: "address ranges") ?? [] {
            guard let range = value.string.flatMap(AddressRange.init) else {
                throw reader.fail(
                    "'allow_private' has \(Printable.text(value.text)): expected an address range such as 10.0.0.0/8")
            }
            ranges.append(range)
        }
        return ranges
    }

    private static func protocolKind(
        _ reader: inout EgressEntryReader, _ listener: EgressListenerKind?
    ) throws(EgressError) -> EgressProtocol {
        let choice = try reader.choice("protocol", EgressProtocol.self)
        guard listener == .tunnel || listener == nil else {
            guard choice ?? .http == .http else {
                throw reader.fail("'protocol' must be http for this kind: the listener reads the requests itself")
            }
            return .http
        }
        guard choice != .http || listener == nil else { throw reader.fail("'protocol' of a tunnel is tls or tcp") }
        return choice ?? .tls
    }
}
