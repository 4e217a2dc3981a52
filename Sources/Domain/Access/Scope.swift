/// What a credential may be good for. Roles bundle scopes under `Policies/roles`; operations ask for one each.
package enum Scope: String, Hashable, Sendable, CaseIterable {
    case preview = "actions:preview"
    case execute = "actions:execute"
    case readAudit = "audit:read"
}
