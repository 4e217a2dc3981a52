package import Domain

/// Who moves files of which workspace, as the audit trail names them.
package struct FilesRequest: Hashable, Sendable {
    package let workspace: WorkspaceID
    /// The principal's name in the audit trail.
    package let actor: String
    /// The rule that allowed the request.
    package let rule: String
    /// The request's ID.
    package let requestID: String
    /// The client's address.
    package let address: String
}
