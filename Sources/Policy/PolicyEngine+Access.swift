package import Domain

extension PolicyEngine {
    /// May this principal do that in this workspace? What no rule allows is denied.
    package func authorize(_ principal: Principal, _ operation: Operation, in workspace: WorkspaceID) -> Decision {
        guard principal.workspace == workspace else {
            return .deny(
                Denial(
                    kind: .otherWorkspace, rule: "workspace",
                    reason: "this credential belongs to another workspace"))
        }
        guard let needed = self.bundle.operations[operation] else {
            return .deny(
                Denial(
                    kind: .missingScope, rule: "operations",
                    reason: "no policy says who may use '\(operation.rawValue)', so nobody may"))
        }
        if principal.scopes.contains(needed) { return .allow(rule: "scope:\(needed.rawValue)") }
        for role in principal.roles where self.bundle.roles[role]?.contains(needed) == true {
            return .allow(rule: "role:\(role)")
        }
        return .deny(
            Denial(
                kind: .missingScope, rule: "scope:\(needed.rawValue)",
                reason:
                    "'\(operation.rawValue)' needs the scope \(needed.rawValue), which this credential does not have"
            ))
    }

    /// The operation and then, where one is named, the action with its params.
    package func decide(
        _ principal: Principal, _ operation: Operation, in workspace: WorkspaceID, action: ActionName?,
        params: [UInt8]
    ) -> Decision {
        let access = self.authorize(principal, operation, in: workspace)
        guard case .allow = access, let action else { return access }
        return self.decide(action, params: params).decision
    }
}
