package import Cryptography
internal import Domain

/// The claims that a token must have (RFC 7519, RFC 8725, RFC 9068).
package struct TokenRules: Sendable {
    package var issuer: String
    package var audience: String
    package var algorithms: Set<SignatureKey.Algorithm>
    /// The claim that names the workspace.
    package var workspaceClaim: String
    /// The claim that lists roles, where the issuer gives them.
    package var rolesClaim: String?
    /// Clients that may present tokens (`azp` or `client_id`); empty for all clients of the issuer.
    package var authorizedParties: Set<String>
    /// Seconds between issue and expiry, at most.
    package var longestLifetime: UInt64
    /// Seconds by which clocks may differ.
    package var leeway: UInt64

    package static let standardLeeway: UInt64 = 60

    /// Defaults to RS256, no roles claim, all clients of the issuer, a lifetime of one hour and 60 s of leeway; checks
    /// nothing.
    package init(
        issuer: String, audience: String, algorithms: Set<SignatureKey.Algorithm> = [.rs256],
        workspaceClaim: String, rolesClaim: String? = nil, authorizedParties: Set<String> = [],
        longestLifetime: UInt64 = 3600, leeway: UInt64 = standardLeeway
    ) {
        self.issuer = issuer
        self.audience = audience
        self.algorithms = algorithms
        self.workspaceClaim = workspaceClaim
        self.rolesClaim = rolesClaim
        self.authorizedParties = authorizedParties
        self.longestLifetime = longestLifetime
        self.leeway = leeway
    }

    /// Checks the claims of a token whose signature is valid, at `now` in seconds since the epoch.
    func principal(of claims: JSONValue, now: UInt64) throws(TokenRefusal) -> Principal {
        guard claims["iss"]?.string.map({ Self.isSame($0, self.issuer) }) == true else {
            throw TokenRefusal("issuer", "it is from another issuer")
        }
        try self.checkAudience(claims)
        try Self.checkKind(claims)
        let issuedAt = try self.checkTimes(claims, now: now)
        guard let subject = claims["sub"]?.string, (1...255).contains(subject.utf8.count),
            subject.unicodeScalars.allSatisfy({ $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) }),
            subject.first?.isWhitespace == false, subject.last?.isWhitespace == false
        else { throw TokenRefusal("subject", "it has no usable 'sub'") }
        guard let name = claims[self.workspaceClaim]?.string, let workspace = WorkspaceID(ifValid: name) else {
            throw TokenRefusal("workspace", "it names no workspace")
        }
        let id = try Self.optionalText(claims, "jti")
        guard let expiry = Self.seconds(claims["exp"]) else { throw TokenRefusal("exp", "it has no usable 'exp'") }
        return Principal(
            actor: "user:\(subject)", subject: subject, workspace: workspace, roles: try self.roles(claims),
            scopes: try Self.scopes(claims), credential: .token(id: id, issuedAt: issuedAt), expiresAt: UInt64(expiry))
    }

    private func checkAudience(_ claims: JSONValue) throws(TokenRefusal) {
        let audiences: [JSONValue]
        switch claims["aud"] {
        case .string(let text): audiences = [.string(text)]
        case .array(let list): audiences = list
        default: throw TokenRefusal("audience", "it has no usable 'aud'")
        }
        let names = audiences.compactMap(\.string)
        guard names.count == audiences.count, names.contains(where: { Self.isSame($0, self.audience) }) else {
            throw TokenRefusal("audience", "it is for another audience")
        }
        let party = try Self.optionalText(claims, "azp")
        let client = try Self.optionalText(claims, "client_id")
        let isKnown = self.authorizedParties.contains { known in
            (party ?? client).map { Self.isSame($0, known) } ?? false
        }
        guard self.authorizedParties.isEmpty || isKnown else {
            throw TokenRefusal("azp", "it was given to a client that may not use this API")
        }
    }

    /// Refuses other kinds of tokens that the issuer signs with the same keys: for a log-in, a log-out or a refresh, and
    /// those that are bound to a key of their holder.
    private static func checkKind(_ claims: JSONValue) throws(TokenRefusal) {
        for name in ["nonce", "at_hash", "c_hash", "s_hash"] where claims[name] != nil {
            throw TokenRefusal("kind", "it is an ID token")
        }
        guard claims["events"] == nil else { throw TokenRefusal("kind", "it reports events and grants nothing") }
        guard claims["cnf"] == nil else { throw TokenRefusal("kind", "it is bound to a key of its holder") }
        for name in ["typ", "token_use"] {
            guard let kind = claims[name] else { continue }
            guard let text = kind.string, ["bearer", "access", "at+jwt", "jwt"].contains(text.lowercased()) else {
                throw TokenRefusal("kind", "it is not an access token")
            }
        }
    }

    /// Compares bytes: `==` also accepts texts that are only canonically equivalent.
    private static func isSame(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

    /// Returns when it was issued; without that neither its whole lifetime is known nor whether it was revoked.
    private func checkTimes(_ claims: JSONValue, now: UInt64) throws(TokenRefusal) -> UInt64 {
        let (now, leeway, longest) = (Double(now), Double(self.leeway), Double(self.longestLifetime))
        guard let expiry = Self.seconds(claims["exp"]) else { throw TokenRefusal("exp", "it has no usable 'exp'") }
        guard now < expiry + leeway else { throw TokenRefusal("exp", "it has expired") }
        if let value = claims["nbf"] {
            guard let start = Self.seconds(value) else { throw TokenRefusal("nbf", "its 'nbf' is unusable") }
            guard start <= now + leeway else { throw TokenRefusal("nbf", "it is not valid yet") }
        }
        guard let issuedAt = Self.seconds(claims["iat"]) else { throw TokenRefusal("iat", "it has no usable 'iat'") }
        guard issuedAt <= now + leeway else { throw TokenRefusal("iat", "it was issued in the future") }
        guard issuedAt < expiry, expiry - issuedAt <= longest else {
            throw TokenRefusal("lifetime", "it is valid for too long, or ended before it began")
        }
        return UInt64(issuedAt)
    }

    /// A NumericDate (RFC 7519 §2), which may have a fraction; nil when it is negative or after the year 9999.
    private static func seconds(_ value: JSONValue?) -> Double? {
        let number: Double
        switch value {
        case .integer(let integer)?: number = Double(integer)
        case .number(let double)?: number = double
        default: return nil
        }
        return number >= 0 && number < 253_402_300_800 ? number : nil
    }

    private static func optionalText(_ claims: JSONValue, _ name: String) throws(TokenRefusal) -> String? {
        guard let value = claims[name] else { return nil }
        guard let text = value.string, (1...255).contains(text.utf8.count) else {
            throw TokenRefusal(name, "its '\(name)' is unusable")
        }
        return text
    }

    private func roles(_ claims: JSONValue) throws(TokenRefusal) -> [DefinitionName] {
        guard let name = self.rolesClaim, let value = claims[name] else { return [] }
        guard let list = value.array, list.count <= 32 else {
            throw TokenRefusal("roles", "its roles are unusable: expected a list of names")
        }
        var roles: [DefinitionName] = []
        for item in list {
            guard let text = item.string else {
                throw TokenRefusal("roles", "its roles are unusable: expected a list of names")
            }
            // A name that no role can have belongs to another application, as unknown scopes do.
            if let role = DefinitionName(ifValid: text) { roles.append(role) }
        }
        return roles
    }

    /// Of `permissions` (a list), which is what the issuer allows, else of `scope` (names with spaces between), which is what
    /// was asked for and granted: those that mean something here.
    private static func scopes(_ claims: JSONValue) throws(TokenRefusal) -> Set<Scope> {
        var names: [String] = []
        if let value = claims["scope"] {
            guard let text = value.string else { throw TokenRefusal("scope", "its 'scope' is unusable") }
            names = text.split(separator: " ").map(String.init)
        }
        if let value = claims["permissions"] {
            guard let list = value.array else { throw TokenRefusal("permissions", "its 'permissions' are unusable") }
            names = list.compactMap(\.string)
            guard names.count == list.count else {
                throw TokenRefusal("permissions", "its 'permissions' are unusable")
            }
        }
        return Set(names.compactMap(Scope.init(rawValue:)))
    }
}
