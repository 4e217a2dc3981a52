/// The authenticated caller, from a verified credential. The credential determines the workspace; a request cannot
/// name another one.
package struct Principal: Hashable, Sendable {
    /// The credential that the caller presented.
    package enum Credential: Hashable, Sendable {
        /// An API key, by its public ID.
        case key(String)
        /// A token of an issuer: its ID if it has one, and its time of issue in seconds since the epoch.
        case token(id: String?, issuedAt: UInt64)
    }

    /// The name in the audit trail: `key:ID` or `user:SUBJECT`.
    package let actor: String
    package let subject: String
    package let workspace: WorkspaceID
    package let roles: [DefinitionName]
    /// The scopes of the credential itself, in addition to those of its roles.
    package let scopes: Set<Scope>
    package let credential: Credential
    /// When the credential expires, in seconds since the epoch; nil if it does not expire.
    package let expiresAt: UInt64?

    /// Takes the parts as given; verifies no credential.
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
