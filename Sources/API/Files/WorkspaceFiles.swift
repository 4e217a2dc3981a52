package import Audit
package import Domain

/// Moves files of workspaces between the disk of this node and requests, as tar archives. Every transfer has two rows in the
/// audit trail: before anything is moved, and after.
package protocol WorkspaceFiles: Sendable {
    /// Whether all nodes have the same files, so that workspaces have no homes.
    var areShared: Bool { get }

    /// Whether this node's disk has a directory of the workspace. Throws when that cannot be found out.
    func has(_ workspace: WorkspaceID) async throws -> Bool

    /// Gives an archive of the paths, of everything when there are none, to `sink` part by part. The last part is given only
    /// when the archive is whole. Throws a `Problem`, what `sink` throws, and when the trail cannot be written; what was
    /// given by then is a part of an archive.
    func get(
        _ paths: [String], for request: FilesRequest, into sink: @escaping @Sendable ([UInt8]) async throws -> Void
    ) async throws

    /// Puts the files of an archive in their place, all or none. `source` gives the archive part by part, and none at its end.
    /// `admitted` is called once nothing refuses the transfer, before the first part is asked for. Throws a `Problem`, what
    /// the two throw, and when the trail cannot be written; the files are as before then, unless the message says
    /// otherwise.
    func put(
        for request: FilesRequest, admitted: @escaping @Sendable () async throws -> Void,
        from source: @escaping @Sendable () async throws -> [UInt8]
    ) async throws -> AuditEvent.Transfer
}
