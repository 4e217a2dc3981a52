/// What came of setting or ending a workspace's home.
package enum HomeChange: Hashable, Sendable {
    /// It was done; `files` is the node that has the workspace's files, empty when none does.
    case done(files: String)
    /// The workspace has no home that could be ended.
    case hasNone
}
