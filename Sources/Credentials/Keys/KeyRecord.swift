package import Domain

/// The stored record of an API key, without the key itself.
package struct KeyRecord: Hashable, Sendable {
    package let id: String
    package let workspace: WorkspaceID
    package let roles: [DefinitionName]
    /// The name that its creator gave it.
    package let label: String
    /// Argon2id of the secret, as a PHC string.
    package var hash: String
    /// `APIKey.checksum` of the key; nil in records that were made before there were checksums.
    package var checksum: String?
    /// Milliseconds since the epoch.
    package let createdAt: UInt64
    /// Milliseconds since the epoch; 0 for never.
    package let expiresAt: UInt64
    /// Milliseconds since the epoch; 0 while it is not revoked.
    package var revokedAt: UInt64
    /// Milliseconds since the epoch, to the minute; 0 before its first use.
    package var usedAt: UInt64

    package static let labelLimit = 64

    /// Replaces control characters in `label` and shortens it to `labelLimit` Unicode scalars; takes the other parts as
    /// given.
    package init(
        id: String, workspace: WorkspaceID, roles: [DefinitionName], label: String, hash: String,
        checksum: String? = nil, createdAt: UInt64, expiresAt: UInt64, revokedAt: UInt64 = 0, usedAt: UInt64 = 0
    ) {
        self.id = id
        self.workspace = workspace
        self.roles = roles
        self.label = Printable.text(label, limit: Self.labelLimit)
        self.hash = hash
        self.checksum = checksum
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
        self.usedAt = usedAt
    }

    /// A new key and its record, at a time in milliseconds since the epoch; without a lifetime it never expires. Hashing
    /// takes tens of milliseconds. Throws when no random bytes or no memory are left.
    package static func fresh(
        in workspace: WorkspaceID, roles: [DefinitionName], label: String, lifetime: Duration?, at now: UInt64,
        parameters: Argon2id.Parameters = Argon2id.Parameters()
    ) throws -> (APIKey, KeyRecord) {
        let key = try APIKey.random()
        let end = lifetime.map { now + UInt64(clamping: $0.components.seconds) * 1000 } ?? 0
        let record = KeyRecord(
            id: key.id, workspace: workspace, roles: roles, label: label,
            hash: try Argon2id.hash(key.secret, parameters: parameters), checksum: try key.checksum(),
            createdAt: now, expiresAt: end)
        return (key, record)
    }

    /// Whether the key is accepted at a time in milliseconds since the epoch.
    package func isGood(at now: UInt64) -> Bool {
        self.revokedAt == 0 && (self.expiresAt == 0 || now < self.expiresAt)
    }

    var principal: Principal {
        Principal(
            actor: "key:\(self.id)", subject: self.id, workspace: self.workspace, roles: self.roles, scopes: [],
            credential: .key(self.id), expiresAt: self.expiresAt == 0 ? nil : self.expiresAt / 1000)
    }

    /// What the record's proof covers: all but the last use and the label.
    var proven: [UInt8] {
        var parts = [
            self.id, self.workspace.name, self.roles.map(\.name).joined(separator: ","), self.hash,
            String(self.createdAt), String(self.expiresAt), String(self.revokedAt),
        ]
        // Records of before checksums keep their proof.
        if let checksum = self.checksum { parts.append(checksum) }
        return Array(parts.joined(separator: "\n").utf8)
    }

    // MARK: - As fields of a hash

    var fields: [(String, String)] {
        [
            ("workspace", self.workspace.name), ("roles", self.roles.map(\.name).joined(separator: ",")),
            ("label", self.label), ("hash", self.hash), ("created", String(self.createdAt)),
            ("expires", String(self.expiresAt)), ("revoked", String(self.revokedAt)), ("used", String(self.usedAt)),
        ] + (self.checksum.map { [("check", $0)] } ?? [])
    }

    /// Nil when a field is missing or malformed: the key is not accepted then.
    init?(id: String, fields: [String: String]) {
        func number(_ name: String) -> UInt64? { fields[name].flatMap { UInt64($0) } }
        guard let workspace = fields["workspace"].flatMap({ WorkspaceID(ifValid: $0) }), let roles = fields["roles"],
            let hash = fields["hash"], let created = number("created"), let expires = number("expires"),
            let revoked = number("revoked"), let used = number("used")
        else { return nil }
        let names = roles.split(separator: ",").map { DefinitionName(ifValid: String($0)) }
        guard names.allSatisfy({ $0 != nil }) else { return nil }
        self.init(
            id: id, workspace: workspace, roles: names.compactMap { $0 }, label: fields["label"] ?? "", hash: hash,
            checksum: fields["check"], createdAt: created, expiresAt: expires, revokedAt: revoked, usedAt: used)
    }
}
