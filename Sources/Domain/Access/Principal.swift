/// Who asks, as a verified credential says. The workspace is the credential's; no request can name another.
package struct Principal: Hashable, Sendable {
    package enum Credential: Hashable, Sendable {
        /// An API key, by its public id.
        case key(String)
        /// A token of an issuer: its id where it has one, and when it was issued, in seconds since the epoch.
        case token(id: String?, issuedAt: UInt64)
    }

    /// What the audit trail calls them: `key:ID` or `user:SUBJECT`.
    package let actor: String
    package let subject: String
    package let workspace: WorkspaceID
    package let roles: [DefinitionName]
    /// Scopes that the credential carries itself, beside those of its roles.
    package let scopes: Set<Scope>
    package let credential: Credential
    /// Seconds since the epoch; nil for one that does not end by itself.
    package let expiresAt: UInt64?

    package init(
        actor: String, subject: String, workspace: WorkspaceID, roles: [DefinitionName], scopes: Set<Scope>,
        credential: Credential, expiresAt: UInt64?
    ) {
        self.actor = actor
        self.subject = subject
        self.workspace = workspace
        self.roles = roles
        self.scopes = scopes
        self.credential = credential
        self.expiresAt = expiresAt
    }
}
