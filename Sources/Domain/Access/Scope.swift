/// A permission of a credential. Roles under `Policies/roles` combine scopes; each operation requires one scope.
package enum Scope: String, Hashable, Sendable, CaseIterable {
    case preview = "actions:preview"
    case execute = "actions:execute"
    case readFiles = "files:read"
    case writeFiles = "files:write"
    case readAudit = "audit:read"
}
