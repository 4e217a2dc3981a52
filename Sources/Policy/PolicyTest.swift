package import Domain

/// One expectation of a policy's authors: who asks for what, and what the answer must be.
package struct PolicyTest: Hashable, Sendable {
    package let file: String
    package let number: Int
    package let principal: Principal
    package let operation: Operation
    package let workspace: WorkspaceID
    package let action: ActionName?
    package let params: JSONValue
    /// The allow-list in force; nil for the node's own.
    package let allowed: AllowList?
    package let expectsAllow: Bool
    /// The rule that must have decided, where the author says so.
    package let rule: String?

    /// Nil when the engine answers as expected, else what it answers.
    package func failure(with engine: PolicyEngine) -> String? {
        let engine = self.allowed.map { PolicyEngine(bundle: engine.bundle, allowed: $0) } ?? engine
        let decision = engine.decide(
            self.principal, self.operation, in: self.workspace, action: self.action, params: self.params.bytes)
        let place = "\(self.file), case \(self.number): \(self.operation.rawValue)"
        switch decision {
        case .allow(let rule):
            guard self.expectsAllow else { return "\(place) is allowed by \(rule), expected a denial" }
            guard self.rule ?? rule == rule else {
                return "\(place) is allowed by \(rule), expected \(self.rule ?? "")"
            }
        case .deny(let denial):
            guard !self.expectsAllow else { return "\(place) is denied by \(denial.rule): \(denial.reason)" }
            guard self.rule ?? denial.rule == denial.rule else {
                return "\(place) is denied by \(denial.rule), expected \(self.rule ?? "")"
            }
        }
        return nil
    }

    static func list(_ reader: inout DefinitionReader) throws(PolicyError) -> [PolicyTest] {
        var tests: [PolicyTest] = []
        for (index, value) in try reader.list("cases").enumerated() {
            var item = try DefinitionReader(value, file: "\(reader.file), case \(index + 1)")
            tests.append(try self.test(&item, file: reader.file, number: index + 1))
            try item.finish()
        }
        return tests
    }

    private static func test(
        _ reader: inout DefinitionReader, file: String, number: Int
    ) throws(PolicyError) -> PolicyTest {
        let expected = try reader.string("expect")
        guard expected == "allow" || expected == "deny" else { throw reader.fail("'expect' must be allow or deny") }
        let roles = try reader.strings("roles", default: [])
        let scopes = Set(try reader.scopes("scopes", default: []))
        let operation = try reader.operation(try reader.string("operation"))
        let place = try reader.optionalString("workspace") ?? "own"
        guard place == "own" || place == "other" else { throw reader.fail("'workspace' must be own or other") }
        let action = try reader.optionalString("action")
        let params = try reader.optionalObject("params") ?? .object([])
        let allowed = try reader.optionalString("allow_actions")
        let rule = try reader.optionalString("rule")
        do throws(DomainError) {
            let own = try WorkspaceID("own")
            var names: [DefinitionName] = []
            for role in roles { names.append(try DefinitionName(role)) }
            return PolicyTest(
                file: file, number: number,
                principal: Principal(
                    actor: "test", subject: "test", workspace: own, roles: names, scopes: scopes,
                    credential: .key("test"), expiresAt: nil),
                operation: operation, workspace: place == "own" ? own : try WorkspaceID("other"),
                action: try action.map { (name) throws(DomainError) in try ActionName(name) }, params: params,
                allowed: try allowed.map { (text) throws(DomainError) in try AllowList(text) },
                expectsAllow: expected == "allow", rule: rule)
        } catch {
            throw reader.fail(error.message)
        }
    }
}
