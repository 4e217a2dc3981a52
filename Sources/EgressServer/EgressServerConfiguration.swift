package import Domain
package import Egress

/// What an egress server serves: one generation of the rules. It comes from the node as one line of JSON.
package struct EgressServerConfiguration: Sendable {
    /// An address that is dialed in place of another one.
    package struct Upstream: Hashable, Sendable {
        package let address: EgressAddress
        /// Nil for the port that is asked for.
        package let port: UInt16?

        /// Takes the parts as given.
        package init(address: EgressAddress, port: UInt16?) {
            self.address = address
            self.port = port
        }
    }

    /// The path of the Unix socket for the shims.
    package let socket: String
    package let generation: UInt64
    /// The entries of each profile.
    package let entries: [DefinitionName: [JSONValue]]
    /// Names that are not asked of the resolver, each with where its connections go: for tests on one machine.
    package let overrides: [HostName: Upstream]
    /// The PEM file of the authorities that certificates of model providers are checked against; nil means the system's.
    package let authorityFile: String?

    /// Takes the parts as given.
    package init(
        socket: String, generation: UInt64, entries: [DefinitionName: [JSONValue]],
        overrides: [HostName: Upstream] = [:], authorityFile: String? = nil
    ) {
        self.socket = socket
        self.generation = generation
        self.entries = entries
        self.overrides = overrides
        self.authorityFile = authorityFile
    }

    /// The document for the server, without a newline.
    package var encoded: [UInt8] {
        let value: JSONValue = [
            "socket": .string(self.socket), "generation": .integer(Int64(clamping: self.generation)),
            "profiles": .object(
                self.entries.sorted { $0.key.name < $1.key.name }.map { JSONMember($0.key.name, .array($0.value)) }),
            "overrides": .object(
                self.overrides.sorted { $0.key.text < $1.key.text }.map {
                    JSONMember(
                        $0.key.text,
                        [
                            "address": .string("\($0.value.address)"),
                            "port": $0.value.port.map { .integer(Int64($0)) } ?? .null,
                        ])
                }),
            "authority_file": self.authorityFile.map { .string($0) } ?? .null,
        ]
        return value.bytes
    }

    /// Reads what `encoded` wrote; throws `EgressServerError`.
    package init(decoding bytes: [UInt8]) throws(EgressServerError) {
        do throws(DomainError) {
            let value = try JSONParser.parse(bytes)
            guard let socket = value["socket"]?.string, let generation = value["generation"]?.integer,
                let profiles = value["profiles"]?.members
            else { throw DomainError.invalidValue("a member is missing") }
            var entries: [DefinitionName: [JSONValue]] = [:]
            for profile in profiles {
                guard let list = profile.value.array else { throw DomainError.invalidValue("expected a list") }
                entries[try DefinitionName(profile.name)] = list
            }
            var overrides: [HostName: Upstream] = [:]
            guard let replaced = value["overrides"]?.members else {
                throw DomainError.invalidValue("the overrides are malformed")
            }
            let file = value["authority_file"] ?? .null
            guard file == .null || file.string != nil else {
                throw DomainError.invalidValue("the file of authorities is malformed")
            }
            for member in replaced {
                guard let upstream = Self.upstream(member.value), let name = Self.name(member.name) else {
                    throw DomainError.invalidValue("an override is malformed")
                }
                overrides[name] = upstream
            }
            self.init(
                socket: socket, generation: UInt64(clamping: generation), entries: entries, overrides: overrides,
                authorityFile: file.string)
        } catch {
            throw EgressServerError(
                code: .configuration, message: "the configuration of the egress server is malformed: \(error)")
        }
    }

    /// Reads `NAME=ADDRESS:PORT,…`, where the port may be left out; throws `EgressServerError` that names the part.
    package static func overrides(_ text: String) throws(EgressServerError) -> [HostName: Upstream] {
        var overrides: [HostName: Upstream] = [:]
        for part in text.split(separator: ",") {
            let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
            guard sides.count == 2, let name = Self.name(sides[0]), let upstream = Self.upstream(sides[1]) else {
                throw EgressServerError(
                    code: .configuration,
                    message:
                        "'\(Printable.text(String(part)))' is not an override: expected NAME=ADDRESS:PORT or NAME=ADDRESS"
                )
            }
            overrides[name] = upstream
        }
        return overrides
    }

    private static func name(_ text: String) -> HostName? {
        do throws(EgressRefusal) { return try HostName(Array(text.utf8)[...]) } catch { return nil }
    }

    private static func upstream(_ text: String) -> Upstream? {
        func address(_ text: some StringProtocol) -> EgressAddress? {
            let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
            return EgressAddress(String(isBracketed ? text.dropFirst().dropLast() : text[...]))
        }
        if let address = address(text) { return Upstream(address: address, port: nil) }
        guard let colon = text.lastIndex(of: ":"), let address = address(text[..<colon]),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        return Upstream(address: address, port: port)
    }

    private static func upstream(_ value: JSONValue) -> Upstream? {
        guard let address = value["address"]?.string.flatMap({ EgressAddress($0) }) else { return nil }
        let given = value["port"] ?? .null
        let port = given.integer.flatMap { UInt16(exactly: $0) }
        guard given == .null || port != nil else { return nil }
        return Upstream(address: address, port: port)
    }
}
