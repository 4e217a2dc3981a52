package import Domain

/// Pure decisions over a bundle and an allow-list; asked at the submission and again at the worker.
package struct PolicyEngine: Sendable {
    package let bundle: PolicyBundle
    package let allowed: AllowList

    /// Takes the parts as given; a name in `allowed` need not be an action of the bundle.
    package init(bundle: PolicyBundle, allowed: AllowList) {
        self.bundle = bundle
        self.allowed = allowed
    }

    /// What the allow-list must have, next to the action itself, before the action may start an unverified agent: the
    /// action's name, a dot and the agent's name with `_` for `-`.
    package static func allowedName(of agent: DefinitionName, by action: ActionName) -> String {
        "\(action).\(agent.name.replacing("-", with: "_"))"
    }

    private func denial(of agent: AgentDefinition, by action: ActionName) -> Denial? {
        let name = Self.allowedName(of: agent.name, by: action)
        guard agent.verification == .unverified,
            ActionName(ifValid: name).map({ self.allowed.contains($0) }) != true
        else { return nil }
        return Denial(
            kind: .notAllowed, rule: "verified",
            reason:
                "the definition of the agent '\(agent.name)' was never tried with its program; an administrator can try it with 'orchestra agents check \(agent.name)', and add \(name) to ALLOW_ACTIONS_DEFAULT"
        )
    }

    /// Decides and, when allowed, hands out the action and its parsed params.
    package func decide(
        _ name: ActionName, params: [UInt8]
    ) -> (decision: Decision, action: ActionDefinition?, params: JSONValue?) {
        guard self.allowed.contains(name) else {
            return (
                .deny(
                    Denial(
                        kind: .notAllowed, rule: "allow-list",
                        reason:
                            "the action '\(name)' is not allowed here; an administrator can add its exact name to ALLOW_ACTIONS_DEFAULT"
                    )), nil, nil
            )
        }
        guard let action = self.bundle.actions[name] else {
            return (
                .deny(
                    Denial(
                        kind: .notAllowed, rule: "actions",
                        reason: "there is no action '\(name)'; expected the name of a file in Policies/actions")), nil,
                nil
            )
        }
        func invalid(_ problem: String) -> (Decision, ActionDefinition?, JSONValue?) {
            (
                .deny(
                    Denial(
                        kind: .invalidParams, rule: "params", reason: "the params of '\(name)' are refused: \(problem)")
                ),
                nil, nil
            )
        }
        guard params.count <= Job.paramsLimit else {
            return invalid("they have \(params.count) bytes, expected at most \(Job.paramsLimit)")
        }
        do throws(DomainError) {
            let value = try JSONParser.parse(params)
            if let problem = action.schema.problem(with: value) { return invalid(problem) }
            if case .agent(let param, _) = action.definition.handler, let agent = value[param]?.string {
                guard let definition = self.bundle.agents.values.first(where: { $0.name.name == agent }) else {
                    return invalid(
                        "there is no agent '\(Printable.text(agent))'; expected the name of a file in Policies/agents")
                }
                if let denial = self.denial(of: definition, by: name) { return (.deny(denial), nil, nil) }
            }
            return (.allow(rule: "allow-list"), action.definition, value)
        } catch {
            return invalid("they are not JSON: \(error.message)")
        }
    }
}
