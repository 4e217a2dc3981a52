package import Cryptography
internal import Domain

/// What a token must say to be believed (RFC 7519, RFC 8725, RFC 9068).
package struct TokenRules: Sendable {
    package var issuer: String
    package var audience: String
    package var algorithms: Set<SignatureKey.Algorithm>
    /// The claim that names the workspace.
    package var workspaceClaim: String
    /// The claim that lists roles, where the issuer gives them.
    package var rolesClaim: String?
    /// Clients that may present tokens (`azp` or `client_id`); empty for all of the issuer's.
    package var authorizedParties: Set<String>
    /// Seconds that a token may be valid for in all.
    package var longestLifetime: UInt64
    /// Seconds by which clocks may differ.
    package var leeway: UInt64

    package init(
        issuer: String, audience: String, algorithms: Set<SignatureKey.Algorithm> = [.rs256],
        workspaceClaim: String, rolesClaim: String? = nil, authorizedParties: Set<String> = [],
        longestLifetime: UInt64 = 3600, leeway: UInt64 = 60
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

    /// Judges the claims of a token whose signature holds, at `now` in seconds since the epoch.
    func principal(of claims: JSONValue, now: UInt64) throws(TokenRefusal) -> Principal {
        guard claims["iss"]?.string == self.issuer else { throw TokenRefusal("issuer", "it is from another issuer") }
        try self.checkAudience(claims)
        try Self.checkKind(claims)
        let issuedAt = try self.checkTimes(claims, now: now)
        guard let subject = claims["sub"]?.string, (1...255).contains(subject.utf8.count),
            subject.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f })
        else { throw TokenRefusal("subject", "it has no usable 'sub'") }
        guard let name = claims[self.workspaceClaim]?.string, let workspace = try? WorkspaceID(name) else {
            throw TokenRefusal("workspace", "it names no workspace")
        }
        let id = try Self.optionalText(claims, "jti")
        guard let expiry = Self.seconds(claims["exp"]) else { throw TokenRefusal("exp", "it has no usable 'exp'") }
        return Principal(
            actor: "user:\(subject)", subject: subject, workspace: workspace, roles: try self.roles(claims),
            scopes: try Self.scopes(claims), credential: .token(id: id, issuedAt: issuedAt), expiresAt: expiry)
    }

    private func checkAudience(_ claims: JSONValue) throws(TokenRefusal) {
        let audiences: [JSONValue]
        switch claims["aud"] {
        case .string(let text): audiences = [.string(text)]
        case .array(let list): audiences = list
        default: throw TokenRefusal("audience", "it has no usable 'aud'")
        }
        guard audiences.allSatisfy({ $0.string != nil }), audiences.contains(.string(self.audience)) else {
            throw TokenRefusal("audience", "it is for another audience")
        }
        let party = try Self.optionalText(claims, "azp")
        let client = try Self.optionalText(claims, "client_id")
        guard self.authorizedParties.isEmpty || (party ?? client).map(self.authorizedParties.contains) == true else {
            throw TokenRefusal("azp", "it was given to a client that may not use this API")
        }
    }

    /// Other tokens of the same issuer, with the same keys: of a log-in, a log-out, a refresh, or bound to a key that
    /// nobody proves to hold here.
    private static func checkKind(_ claims: JSONValue) throws(TokenRefusal) {
        for name in ["nonce", "at_hash", "c_hash", "s_hash"] where claims[name] != nil {
            throw TokenRefusal("kind", "it is an ID token")
        }
        guard claims["events"] == nil else { throw TokenRefusal("kind", "it tells of events and grants nothing") }
        guard claims["cnf"] == nil else { throw TokenRefusal("kind", "it is bound to a key of its holder") }
        for name in ["typ", "token_use"] {
            guard let kind = claims[name] else { continue }
            guard let text = kind.string, ["bearer", "access", "at+jwt", "jwt"].contains(text.lowercased()) else {
                throw TokenRefusal("kind", "it is not an access token")
            }
        }
    }

    /// Returns when it was issued; 0 when it does not say.
    private func checkTimes(_ claims: JSONValue, now: UInt64) throws(TokenRefusal) -> UInt64 {
        guard let expiry = Self.seconds(claims["exp"]) else { throw TokenRefusal("exp", "it has no usable 'exp'") }
        guard now < expiry + self.leeway else { throw TokenRefusal("exp", "it has expired") }
        guard expiry <= now + self.longestLifetime + self.leeway else {
            throw TokenRefusal("lifetime", "it is valid for too long")
        }
        if let value = claims["nbf"] {
            guard let start = Self.seconds(value) else { throw TokenRefusal("nbf", "its 'nbf' is unusable") }
            guard start <= now + self.leeway else { throw TokenRefusal("nbf", "it is not valid yet") }
        }
        guard let value = claims["iat"] else { return 0 }
        guard let issuedAt = Self.seconds(value) else { throw TokenRefusal("iat", "its 'iat' is unusable") }
        guard issuedAt <= now + self.leeway else { throw TokenRefusal("iat", "it was issued in the future") }
        guard issuedAt < expiry, expiry - issuedAt <= self.longestLifetime else {
            throw TokenRefusal("lifetime", "it is valid for too long, or ended before it began")
        }
        return issuedAt
    }

    /// A NumericDate (RFC 7519 §2) of a time that can be meant: not negative, and before the year 10000.
    private static func seconds(_ value: JSONValue?) -> UInt64? {
        let latest: UInt64 = 253_402_300_800
        switch value {
        case .integer(let number)?:
            guard let seconds = UInt64(exactly: number), seconds < latest else { return nil }
            return seconds
        case .number(let number)?:
            guard number >= 0, number < Double(latest) else { return nil }
            return UInt64(number)
        default: return nil
        }
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
            guard let text = item.string, let role = try? DefinitionName(text) else {
                throw TokenRefusal("roles", "its roles are unusable: expected a list of names")
            }
            roles.append(role)
        }
        return roles
    }

    /// Of `permissions` (a list) and `scope` (names with spaces between), those that mean something here.
    private static func scopes(_ claims: JSONValue) throws(TokenRefusal) -> Set<Scope> {
        var names: [String] = []
        if let value = claims["scope"] {
            guard let text = value.string else { throw TokenRefusal("scope", "its 'scope' is unusable") }
            names += text.split(separator: " ").map(String.init)
        }
        if let value = claims["permissions"] {
            guard let list = value.array else { throw TokenRefusal("permissions", "its 'permissions' are unusable") }
            for item in list {
                guard let text = item.string else {
                    throw TokenRefusal("permissions", "its 'permissions' are unusable")
                }
                names.append(text)
            }
        }
        return Set(names.compactMap(Scope.init(rawValue:)))
    }
}

/// Why a token is refused. The rule is one of a closed list; neither holds anything of the token.
package struct TokenRefusal: Error, Hashable {
    package let rule: String
    package let reason: String

    init(_ rule: String, _ reason: String) {
        self.rule = rule
        self.reason = reason
    }
}
