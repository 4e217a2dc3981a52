package import Domain

/// What a shim sends to the egress server together with the listener of its sandbox: whose connections they are. The server
/// trusts it because only processes of its own user can connect.
package struct EgressHello: Hashable, Sendable {
    package let workspace: WorkspaceID
    package let job: JobID
    /// The number of the launch of the job's agent; 1 for a command.
    package let launch: Int
    package let profile: DefinitionName
    /// The random part of the placeholders that the launch has instead of keys; nil when it has none.
    package var secret: String?
    /// The agent definition whose program it is, for budgets; nil for a command.
    package var definition: DefinitionName?

    /// Takes the parts as given.
    package init(
        workspace: WorkspaceID, job: JobID, launch: Int, profile: DefinitionName, definition: DefinitionName? = nil,
        secret: String? = nil
    ) {
        self.definition = definition
        self.secret = secret
        self.workspace = workspace
        self.job = job
        self.launch = launch
        self.profile = profile
    }

    /// The longest hello in bytes, with its newline.
    package static let limit = 1024

    /// One line of JSON with its newline.
    package var encoded: [UInt8] {
        let value: JSONValue = [
            "workspace": .string(self.workspace.name), "job": .string("\(self.job)"),
            "launch": .integer(Int64(self.launch)), "profile": .string(self.profile.name),
            "definition": self.definition.map { .string($0.name) } ?? .null,
            "secret": self.secret.map { .string($0) } ?? .null,
        ]
        return value.bytes + [UInt8(ascii: "\n")]
    }

    /// Reads what `encoded` wrote, without the newline; throws `DomainError` for anything else.
    package init(decoding bytes: [UInt8]) throws(DomainError) {
        let value = try JSONParser.parse(bytes)
        guard let workspace = value["workspace"]?.string, let job = value["job"]?.string,
            let launch = value["launch"]?.integer, let profile = value["profile"]?.string
        else { throw DomainError.invalidValue("the hello of a shim is malformed") }
        var definition: DefinitionName?
        if let name = value["definition"]?.string { definition = try DefinitionName(name) }
        self.init(
            workspace: try WorkspaceID(workspace), job: try JobID(job), launch: Int(clamping: launch),
            profile: try DefinitionName(profile),
            definition: definition, secret: value["secret"]?.string)
    }
}
